"""A debugger in a worker has the terminal, and nobody hurries it."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from pyfork.config.command_line.arguments import parse
from pyfork.config.load import load
from tests.dev.project import PATIENCE, Project
from tests.dev.terminal import Terminal

SHOP = """\
def app(environ, start_response):
    price = 6
    breakpoint()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"sold"]
"""


@contextmanager
def asked(url: str) -> Iterator[list[bytes]]:
    """A request that is under way while the block lasts; what was answered."""
    answers: list[bytes] = []

    def ask() -> None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            answers.append(answer.read())

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        thread.join()


def test_in_development_there_is_no_timeout_unless_asked_for() -> None:
    config = load(parse(["--reload"]), {}, ".").config
    assert (config.timeout, config.boot_timeout) == (0, 0)
    config = load(parse(["--reload", "-t", "7"]), {}, ".").config
    assert (config.timeout, config.boot_timeout) == (7, 0)
    assert load(parse([]), {}, ".").config.timeout == 30


@pytest.mark.parametrize("goes_on", [pytest.param(True, marks=pytest.mark.soak), False])
def test_pdb_at_the_terminal(project: Project, goes_on: bool) -> None:
    project.write("shop.py", SHOP)
    options = ("--reload", "-b", "127.0.0.1:0", "shop:app")
    with Terminal(project.directory, *options, env={"NO_COLOR": "1"}) as terminal:
        url = terminal.wait(r"open +(http://\S+)\n")[1]
        terminal.wait("Ctrl-C")
        with asked(url) as answers:
            terminal.wait(r"shop\.py\([34]\)app\(\)\n.*\n\(Pdb\) ")
            terminal.type("p price * 7\n")
            terminal.wait(r"\n42\n\(Pdb\) ")
            terminal.type("\x1b[A\n")  # the last line again
            terminal.wait(r"(?s)\n42\n.*\n42\n\(Pdb\) ")
            terminal.type("c\n" if goes_on else "\x03")
        assert answers == ([b"sold"] if goes_on else [])
        terminal.type("\x03" if goes_on else "")
        assert terminal.wait_end() == 0
        assert terminal.echoes
        assert "Program interrupted" not in terminal.shown
        assert "died" not in terminal.shown


def test_a_save_while_pdb_waits_leaves_the_terminal_as_it_was(project: Project) -> None:
    project.write("shop.py", SHOP)
    options = ("--reload", "-b", "127.0.0.1:0", "shop:app")
    with Terminal(project.directory, *options, env={"NO_COLOR": "1"}) as terminal:
        url = terminal.wait(r"open +(http://\S+)\n")[1]
        terminal.wait("Ctrl-C")
        with asked(url):
            terminal.wait(r"\(Pdb\) ")
            assert not terminal.echoes
            project.write("shop.py", SHOP.replace("    breakpoint()\n", ""))
            terminal.wait(r"reloaded in \d+ ms: shop\.py changed")
        terminal.until(lambda: terminal.echoes)
