"""The sentences of a page: its prose without code, tables, headings and markup; and cells."""

import re
from collections.abc import Iterator
from itertools import pairwise

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)(\{[^}]*\})?")
_LINK = re.compile(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])(\{[^}]*\})?")
_TAG = re.compile(r"</?[a-z][^>]*>|&\w+;")
_NOT_PROSE = re.compile(r"\s*(\||#|===|!!!|\?\?\?|---|<)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+\.)\s+")
_RULE = re.compile(r"\|[-: |]+\|$")
_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|No)\.$")


def sentences(page: str) -> Iterator[str]:
    """Each sentence; a piece of code is one word (``x``, or ``X`` where a sentence may begin)."""
    for paragraph in paragraphs(page):
        begun = ""
        for piece in _END.split(paragraph):
            begun = f"{begun} {piece}".strip()
            if not _ABBREVIATION.search(begun):
                yield begun
                begun = ""
        if begun:
            yield begun


def cells(page: str) -> Iterator[str]:
    """Each cell of each table, without the heading of the table."""
    lines = _CODE.sub("`x`", _LINK.sub(r"\1", _FENCE.sub("", _COMMENT.sub("", page)))).splitlines()
    for line, following in pairwise([*lines, ""]):
        if line.startswith("|") and not _RULE.match(line) and not _RULE.match(following):
            yield from (cell.strip() for cell in line.strip("|").split("|"))


def paragraphs(page: str) -> Iterator[str]:
    """Each paragraph and list item, on one line."""
    text = _FENCE.sub("", _COMMENT.sub("", page))
    text = _LINK.sub(r"\1", _IMAGE.sub("", text))
    text = _CODE.sub("`x`", text)
    lines: list[str] = []
    in_list = False
    for line in [*text.splitlines(), ""]:
        item = _ITEM.match(line)
        indented = line.startswith("    ") and not in_list and not lines
        if not line.strip() or _NOT_PROSE.match(line) or item or indented:
            if lines:
                yield _clean(" ".join(lines))
            lines = []
        if line.strip() and not line.startswith(" "):
            in_list = item is not None
        if item:
            lines = [line[item.end() :]]
        elif line.strip() and not _NOT_PROSE.match(line) and not indented:
            lines.append(line.strip())


def _clean(paragraph: str) -> str:
    return re.sub(r"\s+", " ", _TAG.sub("", paragraph).replace("**", "")).strip()
