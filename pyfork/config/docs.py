"""docs/settings.md, made from the declarations: ``python -m pyfork.config.docs``."""

from collections.abc import Iterator
from itertools import groupby

from pyfork.config.config import SETTINGS
from pyfork.config.settings.declare import Setting

_INTRODUCTION = """\
# Settings

<!-- Made by: python -m pyfork.config.docs > docs/settings.md -->

pyfork takes each setting from four places, and the last one wins:

1. The default.
2. A file: the one that `-c FILE` names, else the first in the start directory of `pyfork.toml`,
   `pyfork.conf.py`, `[tool.pyfork]` in `pyproject.toml`, and `gunicorn.conf.py`. Keys are the
   names below. TOML accepts `-` for `_`; [Python](configuration.md) also accepts gunicorn's
   names.
3. The environment: the variables below. An empty one counts as not set.
4. The command line. `PYFORK_CMD_ARGS` (else `GUNICORN_CMD_ARGS`) holds further words for it,
   which rank below it.

`pyfork --print-config` shows each value and its source. `pyfork --check-config APP` also loads
the application. An unknown name in any of these places is an error.

In files, times are numbers of seconds, and lists are arrays. Sizes are numbers of bytes or text
such as `"512M"`. File modes are text such as `"022"`.
"""


def page() -> str:
    """Return the page in Markdown."""
    groups = groupby(SETTINGS.values(), key=lambda each: each.group)
    return _INTRODUCTION + "".join(
        f"\n## {group}\n\n" + "\n".join("\n".join(_entry(each)) for each in members)
        for group, members in groups
    )


def _entry(setting: Setting) -> Iterator[str]:
    shown = setting.kind.show(setting.default)
    flags = [*setting.flags, *([setting.off] if setting.off else [])]
    variables = [setting.env, *setting.aliases]
    yield f"### {setting.name}"
    yield ""
    yield setting.help
    yield ""
    if setting.python:
        yield "- Only in a Python configuration file"
    else:
        yield f"- Command line: {_code(flags or [setting.kind.metavar])}"
        yield f"- Environment: {_code(variables)}"
    yield f"- Value: {setting.kind.expects.replace('*', '`*`')}"
    yield f"- Default: {_code([shown]) if shown else 'none'}"
    yield f"- Since: {setting.since}"
    yield ""


def _code(texts: list[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


if __name__ == "__main__":
    print(page(), end="")
