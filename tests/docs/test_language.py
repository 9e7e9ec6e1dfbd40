"""The pages are in plain technical English: short sentences that name their actors.

Four things are checked: the length of a sentence, "who" and "what" as nouns, two passive verbs in
one sentence, and metaphors. Code and headings are not prose; cells of tables are no sentences, and
are checked for words only. The checks are rules about
words, without grammar: a sentence that one of them mistakes is better written another way.
"""

import re
from pathlib import Path

import pytest

from pyfork.ctl.commands import COMMANDS
from tests.docs.prose import cells, sentences
from tests.harness.server import ROOT

FIRST = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in FIRST), *sorted((ROOT / "docs").rglob("*.md"))]
MOST_WORDS = 25

_WORD = re.compile(r"[\w`][\w`'./%+:-]*")
_PERSON = r"(?:users?|people|person|engineers?|operators?|developers?|others|authors?|everybody)"
_QUESTION = re.compile(r"\?[\"')*_]*$")
_IRREGULAR = (
    "begun|bound|broken|brought|built|caught|chosen|cut|done|drawn|driven|forgotten|found|frozen"
    "|given|gone|held|hidden|kept|known|laid|left|lent|lost|made|meant|met|overridden|paid|put|read"
    "|rewritten|run|said|seen|sent|set|shown|shut|sold|spent|split|spoken|spread|stolen|stopped"
    "|taken|taught|thrown|told|understood|withdrawn|won|worn|written"
)
_PASSIVE = re.compile(
    r"\b(?:am|is|are|was|were|be|been|being|gets?|got)\b"
    r"(?: (?:not|never|also|then|only|always|already|first|still|again|all|each|both|once|\w+ly))*"
    rf" (?:(?:[a-z]+-)?[a-z]{{2,}}ed|{_IRREGULAR})\b",
    re.IGNORECASE,
)
_ADJECTIVES = {"need", "indeed", "speed", "unused", "needed", "hundred"}
# Words of former releases, and others that stand for something else. The field has its own:
# docs/glossary.md.
METAPHORS = re.compile(
    r"(?i)\b(?:"
    "accession|bequests?|bereavement|bury|buried|crew|desk|disowns?|doomed|errands?|estate|furnish"
    "|heeds?|heralds?|heritage|interregnum|liaison|obeys?|oneself|premises|rehears\\w+|trays?"
    "|born|dismiss\\w*|heals?|healed|heir|last words|marry|prov(?:e|es|ed) (?:it|them)sel(?:f|ves)"
    "|lets? go|give[sn]? way|goes? on with|in charge|knows? nothing of|is to be feared|tells? the"
    " truth|peace|sleeps? well|lives? on|comes? to nothing|nobody minds?|mends?|mended|ill"
    "|strangers?|household|of before|serves? on|have to hear|is heard"
    r")\b"
)


def faults(page: str) -> list[str]:
    """What is wrong with a page, one sentence each."""
    found = []
    for sentence in sentences(page):
        if (count := words(sentence)) > MOST_WORDS:
            found.append(f"{count} words: {sentence}")
        if not _QUESTION.search(sentence) and (noun := nouns(sentence)):
            found.append(f"{noun!r} is a noun: {sentence}")
        if len(verbs := passives(sentence)) > 1:
            found.append(f"{len(verbs)} passives ({', '.join(verbs)}): {sentence}")
        if metaphor := METAPHORS.search(sentence):
            found.append(f"{metaphor[0]!r} is a metaphor: {sentence}")
    for cell in cells(page):
        parts = [part for part in re.split(r"(?<=[.;?]) ", cell) if not _QUESTION.search(part)]
        if any(nouns(part) or METAPHORS.search(part) for part in parts):
            found.append(f"a cell: {cell}")
    return found


def words(sentence: str) -> int:
    return len(_WORD.findall(sentence))


def nouns(sentence: str) -> str | None:
    """The first "what", and the first "who" that is not behind a word for people."""
    for match in re.finditer(r"(?i)\b(?:what(?:ever)?|whoever|whom|who)\b", sentence):
        before = re.search(r"(\w+) $", sentence[: match.start()])
        if match[0].lower() != "who" or not (before and re.fullmatch(_PERSON, before[1], re.I)):
            return match[0]
    return None


def passives(sentence: str) -> list[str]:
    found = [match[0] for match in _PASSIVE.finditer(sentence)]
    return [verb for verb in found if verb.split()[-1].lower() not in _ADJECTIVES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path) -> None:
    found = faults(page.read_text())
    assert not found, "\n" + "\n".join(found)


def test_help_of_commands() -> None:
    """Settings have theirs on a page."""
    for name, command in COMMANDS.items():
        for text in (command.help, *command.options.values()):
            assert not faults(text), f"pyfork {name}"


WRONG = [
    "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty and one more, and one more word.",
    "Who comes from gunicorn keeps the configuration.",
    "`required` ends the handshake of who has no certificate of these authorities.",
    "What cannot be used is one line at the start.",
    "pyfork replaces whatever dies.",
    "The files are read and the result is compared with the former one.",
    "The next save heals the application.",
    "- In all four the new proves itself first.",
    "| signal | meaning |\n|---|---|\n| HUP | what is new is read |",
]
RIGHT = [
    "The user who started pyfork can read it.",
    "What does each worker do?",
    "`required` rejects clients without a certificate from these authorities.",
    "In production, set `PORT` and `WEB_CONCURRENCY`. pyfork runs with a read-only file system, "
    "under any user id, and as process 1.",
    "# What a client that says who it is gets told, given and handed here",
    "| who | what happens |\n|---|---|\n| the worker | is read and is written. Who reads it? |",
    "```text\nwhat is read, is kept, and is written\n```",
    "    $ what is this\n",
    "1. The first step is done.\n2. The second step is done.\n",
    "<!-- who is told what -->",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_fault_is_found(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize("text", RIGHT)
def test_no_false_alarm(text: str) -> None:
    assert not faults(text)
