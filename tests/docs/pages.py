"""The blocks of README.md and docs/*.md that show commands, and what is shown of their output."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.server import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^( *)```([\w-]*)([^\n]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_SHELLS = ("sh", "bash", "shell", "console")


@dataclass(slots=True)
class Command:
    """A command as it is shown, and the output that is shown of it."""

    text: str
    output: list[str] = field(default_factory=list)

    @property
    def fails(self) -> bool:
        """Whether it is shown to."""
        return any(re.search(r"(?i)error:|Traceback", line) for line in self.output)


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences."""

    page: Path
    line: int
    language: str
    text: str
    title: str = ""  # the file that it is, if it says so

    @property
    def name(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def commands(self) -> list[Command]:
        """Its commands; in a console only what stands behind a prompt."""
        found: list[Command] = []
        lines = iter(self.text.splitlines())
        for line in lines:
            shown = line.removeprefix("$ ")
            if self.language == "console" and shown == line:
                if found:
                    found[-1].output.append(line)
                continue
            while shown.endswith("\\"):
                shown = shown.removesuffix("\\") + next(lines).removeprefix("> ").lstrip()
            bare = re.sub(r"(^|\s)#.*", "", shown).strip()
            if bare:
                found.append(Command(bare))
        return found


def blocks(*languages: str) -> Iterator[Block]:
    """Every block in one of ``languages``, of every page."""
    for page in PAGES:
        text = page.read_text()
        for found in _FENCE.finditer(text):
            indent, language, rest, inner = found.groups()
            if language in languages:
                inner = re.sub(rf"^{indent}", "", inner, flags=re.MULTILINE)
                title = re.search(r'title="([^"]+)"', rest)
                line = text.count("\n", 0, found.start()) + 1
                yield Block(page, line, language, inner, title[1] if title else "")


def shells() -> list[Block]:
    """Every block that shows commands."""
    return list(blocks(*_SHELLS))
