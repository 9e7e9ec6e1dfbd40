"""Every command that README.md and docs/ show is run.

A block is run in a project of its own, from its first command to its last. Files whose text the
page has before it, in a block with a title, are there. The page shows the
output of a command that fails; every other command must succeed.
"""

import re
import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest

from pyfork.config.command_line.arguments import options, parse
from pyfork.config.load import load
from pyfork.ctl.commands import verbs
from tests.docs.pages import PAGES, Block, Command, blocks, shells
from tests.docs.scratch import STAND_INS, Scratch, asks

# What runs already where a block begins with a question to it.
RUNNING = {"cluster.md": "pyfork run server.py -w 3 -n shop &"}
USUALLY = "pyfork shop.wsgi -w 2 -n shop &"


@pytest.mark.parametrize("block", shells(), ids=lambda block: block.name)
def test_block(block: Block, tmp_path: Path) -> None:
    with ExitStack() as stack:
        scratch = Scratch(tmp_path, stack)
        for file in blocks("python"):
            if file.title and file.page == block.page and file.line < block.line:
                (scratch.directory / file.title).write_text(scratch.here(file.text))
        if asks(block.commands):
            scratch.run(Command(RUNNING.get(block.page.name, USUALLY)))
        for command in block.commands:
            scratch.run(command)


@pytest.mark.parametrize("block", list(blocks("toml")), ids=lambda block: block.name)
def test_settings(block: Block, tmp_path: Path) -> None:
    (tmp_path / "pyfork.toml").write_text(block.text)
    load(parse([]), {}, tmp_path)


def test_every_flag_of_pyfork_that_is_named_is_one() -> None:
    """Also where it stands in a sentence."""
    known = {flag for option in options() for flag in (*option.flags, option.off)}
    for verb in verbs():
        known |= {flag for option in verb.options for flag in option.flags}
    for page in PAGES:
        for named in re.findall(r"`pyfork ([^`]+)`", page.read_text()):
            flags = set(re.findall(r"(?<=[ \[])--[\w-]+", f" {named}"))
            assert flags <= known, f"{page.name}: pyfork {named}"


def test_there_are_commands() -> None:
    texts = [command.text for block in shells() for command in block.commands]
    assert len(texts) > 20
    shown = {Path(word).name for text in texts for word in shlex.split(text)}
    assert {"pyfork", "git", "pip"} <= shown
    assert {"curl", "docker"} - set(STAND_INS) == {"curl"}
