"""``pyfork top`` in a real terminal, which tmux is."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests import programs
from tests.harness.server import environment
from tests.harness.site import Site


class Terminal:
    """A terminal of 80x24."""

    def __init__(self, tmux: str, site: Site, *words: str) -> None:
        self._tmux = (tmux, "-S", str(site.directory / "tmux"), "-f", "/dev/null")
        command = " ".join([sys.executable, "-m", "pyfork", *words])
        self._run("new-session", "-d", "-x", "80", "-y", "24", f"{command}; echo rc=$?; sleep 60",
                  cwd=site.directory, env=environment() | site.environ)  # fmt: skip

    def _run(self, *words: str, **more: Any) -> str:
        done = subprocess.run(
            [*self._tmux, *words], capture_output=True, text=True, check=True, **more
        )
        return done.stdout

    def text(self) -> str:
        return self._run("capture-pane", "-p")

    def press(self, key: str) -> None:
        self._run("send-keys", key)

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-x", str(width), "-y", str(height))

    def close(self) -> None:
        self._run("kill-server")


@pytest.fixture
def tmux() -> str:
    return programs.need("tmux")


@pytest.fixture
def load() -> Iterator[threading.Event]:
    stop = threading.Event()
    yield stop
    stop.set()


@pytest.mark.soak
def test_top_shows_load_does_what_keys_say_and_ends_cleanly(
    site: Site, tmux: str, load: threading.Event
) -> None:
    server = site.serve("-w", "4", "-n", "blue")

    def ask() -> None:
        while not load.is_set():
            server.get("/")

    client = threading.Thread(target=ask)
    client.start()
    terminal = Terminal(tmux, site, "top", "blue")

    def wait(text: str) -> None:
        server.until(lambda: text in terminal.text(), f"the terminal shows {text!r}")

    try:
        wait("serving 4/4")
        server.until(lambda: " 0 req/s" not in terminal.text(), "the load is seen")
        assert max(map(len, terminal.text().splitlines())) <= 80
        terminal.resize(200, 50)
        terminal.press("s")
        wait("sorted by cpu")
        assert "d:drain u:resume" in terminal.text()
        terminal.press("t")
        wait("j/k:scroll")
        assert "thread MainThread" in terminal.text()
        terminal.press("q")
        wait("sorted by cpu")
        terminal.press("+")
        wait("serving 5/5")
        terminal.press("d")
        wait("serving 4/4")
        wait("drained")
        terminal.press("u")
        wait("serving 5/5")
        terminal.press("r")
        wait("gen 2")
        terminal.resize(80, 24)
        terminal.press("q")
        wait("rc=0")
    finally:
        load.set()
        client.join()
        terminal.close()


def test_top_needs_a_terminal(site: Site) -> None:
    done = site.command("top")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pyfork top needs a terminal" in done.stderr
