"""Help texts, made from what is declared."""

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pyfork.config.command_line.getopt import Option

_WIDEST = 96  # longer lines are hard to read
_LONG = 30  # flags that take more columns have their text on the next line


def help_text(
    command: str,
    text: str,
    options: Iterable[Option],
    operands: Sequence[str],
    *,
    end: str = "",
    short: bool = False,
) -> str:
    """All that ``--help`` says of ``command``.

    Args:
        text: what it does.
        options: in order; those of one group stand together.
        operands: as in the usage line, such as "[APP]".
        end: a paragraph behind the options.
        short: these are not all options; no groups, and of each the first sentence.
    """
    width = _width()
    groups: dict[str, list[tuple[str, str]]] = {}
    for option in options:
        default = f" [{option.default}]" if option.default else ""
        rows = groups.setdefault("Common options" if short else option.group, [])
        help = f"{first_sentence(option.help)}." if short else option.help
        rows.append((_written(option), f"{help}{default}"))
    parts = [
        " ".join(["Usage:", command, "[OPTIONS]", *operands]),
        _fill(text, width, "  ", "  "),
        *("\n".join([f"{name}:", *_rows(found, width)]) for name, found in groups.items()),
    ]
    if end:
        parts.append(_fill(end, width, "  ", "  "))
    return "\n\n".join(parts)


def listing(title: str, rows: Mapping[str, str]) -> str:
    """Words to the left, what they mean to the right, under a title."""
    return "\n".join([f"{title}:", *_rows(list(rows.items()), _width())])


def first_sentence(text: str) -> str:
    """The first sentence, which fits on a line."""
    return text.partition(". ")[0].removesuffix(".")


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST) - 2


def _written(option: Option) -> str:
    """The option as one writes it."""
    flags = ", ".join(option.flags)
    if option.off:
        return f"{flags} / {option.off}"
    return f"{flags} {option.metavar}" if option.metavar else flags


def _rows(rows: list[tuple[str, str]], width: int) -> Iterator[str]:
    """Flags to the left, their text to the right."""
    column = min(max(len(flags) for flags, _ in rows), _LONG, width // 3) + 4
    margin = " " * column
    for flags, text in rows:
        head = f"  {flags}  "
        if len(head) > column:
            yield head.rstrip()
            head = margin
        yield _fill(text, width, head.ljust(column), margin)


def _fill(text: str, width: int, first: str, other: str) -> str:
    """Lines that begin as told. Flags and names are not broken at their hyphens."""
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=other, break_on_hyphens=False
    )
