"""Every command that README.md and docs/ show is run.

A block is run in a project of its own, from its first command to its last. What fails there says
so in its output; what is no failure must not fail.
"""

import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest

from pyfork.config.arguments import parse
from pyfork.config.load import load
from tests.docs.pages import Block, Command, blocks, shells
from tests.docs.scratch import STAND_INS, Scratch, asks

# What runs already where a block begins with a question to it.
RUNNING = {"cluster.md": "pyfork run server.py -w 3 -n shop &"}
USUALLY = "pyfork shop.wsgi -w 2 -n shop &"


@pytest.mark.parametrize("block", shells(), ids=lambda block: block.name)
def test_block(block: Block, tmp_path: Path) -> None:
    with ExitStack() as stack:
        scratch = Scratch(tmp_path, stack)
        if asks(block.commands):
            scratch.run(Command(RUNNING.get(block.page.name, USUALLY)))
        for command in block.commands:
            scratch.run(command)


@pytest.mark.parametrize("block", list(blocks("toml")), ids=lambda block: block.name)
def test_settings(block: Block, tmp_path: Path) -> None:
    (tmp_path / "pyfork.toml").write_text(block.text)
    load(parse([]), {}, tmp_path)


def test_there_are_commands() -> None:
    texts = [command.text for block in shells() for command in block.commands]
    assert len(texts) > 20
    shown = {Path(word).name for text in texts for word in shlex.split(text)}
    assert {"pyfork", "git", "pip"} <= shown
    assert {"curl", "docker"} - set(STAND_INS) == {"curl"}
