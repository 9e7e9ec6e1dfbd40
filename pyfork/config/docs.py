"""docs/settings.md, made from the declarations: ``python -m pyfork.config.docs``."""

from collections.abc import Iterator
from itertools import groupby

from pyfork.config.config import SETTINGS
from pyfork.config.settings.declare import Setting

_INTRODUCTION = """\
# Settings

<!-- Made by: python -m pyfork.config.docs > docs/settings.md -->

Each setting can be given in four places. Of a setting that is given more than once, the last in
this list counts:

1. its default;
2. a file: the one that `-c FILE` names, else the first of `pyfork.toml`, `pyfork.conf.py`, the
   table `[tool.pyfork]` of `pyproject.toml` and `gunicorn.conf.py`, in the directory that pyfork is
   started in. Keys are the names below, in TOML, where `-` may stand for `_`, or in
   [Python](configuration.md), where gunicorn's names count too;
3. the environment: the variables below. An empty one counts as not set;
4. the command line; below it, `PYFORK_CMD_ARGS`, which holds further words for it (else
   `GUNICORN_CMD_ARGS`).

`pyfork --print-config` shows each value and where it comes from; `pyfork --check-config APP` also
loads the application. An unknown name in any of these places is an error.

In files, times are numbers of seconds, sizes are numbers of bytes or text such as `"512M"`, file
modes are text such as `"022"`, and lists are arrays.
"""


def page() -> str:
    """Return the page in Markdown."""
    groups = groupby(SETTINGS.values(), key=lambda each: each.group)
    return _INTRODUCTION + "".join(
        f"\n## {group}\n\n" + "\n".join("\n".join(_entry(each)) for each in members)
        for group, members in groups
    )


def _entry(each: Setting) -> Iterator[str]:
    shown = each.kind.show(each.default)
    flags = [*each.flags, *([each.off] if each.off else [])]
    variables = [each.env, *each.aliases]
    yield f"### {each.name}"
    yield ""
    yield each.help
    yield ""
    if each.python:
        yield "- Only in a Python configuration file"
    else:
        yield f"- Command line: {_code(flags or [each.kind.metavar])}"
        yield f"- Environment: {_code(variables)}"
    yield f"- Value: {each.kind.expects.replace('*', '`*`')}"
    yield f"- Default: {_code([shown]) if shown else 'none'}"
    yield f"- Since: {each.since}"
    yield ""


def _code(texts: list[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


if __name__ == "__main__":
    print(page(), end="")
