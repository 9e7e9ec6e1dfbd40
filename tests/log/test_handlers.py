"""Handlers of the operator's: whatever they do, the server serves, reloads and stops."""

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from pyfork.config.config import Config
from pyfork.log import setup
from pyfork.log.deferred import LIMIT
from tests.harness.server import Server
from tests.log.handlers import Blocking
from tests.log.unread import Unread


@pytest.fixture
def output(tmp_path: Path) -> Iterator[int]:
    """A file for stdout and stderr."""
    fd = os.open(tmp_path / "out.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield fd
    print((tmp_path / "out.log").read_text())
    os.close(fd)


@pytest.fixture
def full_syslog(tmp_path: Path) -> Iterator[str]:
    """A datagram socket, as /dev/log, whose daemon is stopped."""
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(path)
            with suppress(BlockingIOError):
                while client.send(b"x"):
                    pass
            yield path


def log_config(directory: Path, **handler: Any) -> str:
    """A file for --log-config with one handler, which all records go to."""
    path = directory / "logging.json"
    text = {"handlers": {"own": handler}, "root": {"handlers": ["own"], "level": "DEBUG"}}
    path.write_text(json.dumps(text))
    return str(path)


def endures(directory: Path, output: int, end: signal.Signals, **handler: Any) -> None:
    """The server is none the worse for its handler."""
    config = log_config(directory, **handler)
    with Unread(directory, output, "-w", "2", "--log-config", config) as server:
        before = server.serves()
        server.get(count=200)
        server.signal(signal.SIGHUP)
        server.until(lambda: not server.get() & before, "the new generation serves")
        server.get("/boom", count=20, status=500)
        began = time.monotonic()
        server.signal(end)
        assert server.wait() == (0 if end == signal.SIGTERM else -signal.SIGKILL)
        server.until(lambda: not server.processes(), "all have left")
        assert time.monotonic() - began < 10


ENDS = pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])


@ENDS
@pytest.mark.parametrize("kind", ["Blocking", "Raising"])
def test_handler(kind: str, end: signal.Signals, tmp_path: Path, output: int) -> None:
    endures(tmp_path, output, end, **{"class": f"tests.log.handlers.{kind}"})
    told = (tmp_path / "out.log").read_text()
    assert ("pyfork: a logging handler raised RuntimeError: no such server\n" in told) == (
        kind == "Raising"
    )


@ENDS
@pytest.mark.parametrize("down", ["full", "missing"])
def test_syslog_that_is_down(
    down: str, end: signal.Signals, full_syslog: str, tmp_path: Path, output: int
) -> None:
    address = full_syslog if down == "full" else str(tmp_path / "none")
    endures(
        tmp_path, output, end, **{"class": "logging.handlers.SysLogHandler", "address": address}
    )


def test_records_of_all_processes_arrive(tmp_path: Path) -> None:
    out = tmp_path / "lines.log"
    config = log_config(tmp_path, **{"class": "logging.FileHandler", "filename": str(out)})
    command = ("-w", "2", "--log-config", config)
    with Server("tests.apps.wsgi:app", *command, directory=tmp_path, log=out) as server:
        server.get("/boom")
        out.rename(tmp_path / "lines.1")
        server.signal(signal.SIGUSR1)
        server.until(lambda: out.exists() and "were reopened" in server.log, "rotation is followed")

        def nobody_holds_the_old() -> bool:
            files = [file.path for each in server.processes() for file in each.open_files()]
            return not any(path.endswith(".1") for path in files)

        server.until(nobody_holds_the_old, "every process has left the old file")
    text = (tmp_path / "lines.1").read_text() + out.read_text()
    assert "RuntimeError: boom" in text
    assert text.count("is ready") == 2
    assert '"GET /boom HTTP/1.1" 500' in text
    assert out.read_text().endswith("pyfork has stopped\n")


def test_process_of_the_log_that_is_killed(tmp_path: Path, output: int) -> None:
    """It is replaced, and what the arbiter says in between arrives."""
    out = tmp_path / "lines.log"
    config = log_config(tmp_path, **{"class": "logging.FileHandler", "filename": str(out)})
    with Unread(tmp_path, output, "-w", "1", "--log-config", config) as server:
        server.serves()

        def log_processes() -> list[psutil.Process]:
            return [each for each in server.processes() if _is_log(each)]

        (first,) = log_processes()
        first.kill()
        server.until(lambda: log_processes() not in ([], [first]), "there is another")
        server.signal(signal.SIGHUP)
        server.until(lambda: "generation 2 serves" in out.read_text(), "its lines come")


def test_records_beyond_the_queue_are_counted() -> None:
    handler = {"class": "tests.log.handlers.Blocking"}
    setup.configure(
        Config(log_config_dict={"handlers": {"own": handler}, "root": {"handlers": ["own"]}})
    )
    log = logging.getLogger(setup.ERROR)
    try:
        for _ in range(LIMIT + 100):
            log.error("x")
        assert setup.lost() in (99, 100)  # one may be in the handler
    finally:
        # It stays set: a thread that waits again would hold the handler's lock for the next test.
        Blocking.answered.set()
        setup.finish()


def test_formatter_of_the_operators_gets_no_line_to_forge(tmp_path: Path) -> None:
    out = tmp_path / "lines.log"
    handler = {"class": "logging.FileHandler", "filename": str(out)}
    setup.configure(
        Config(log_config_dict={"handlers": {"own": handler}, "root": {"handlers": ["own"]}})
    )
    try:
        raise ValueError("\nforged\x1b[2J")
    except ValueError:
        logging.getLogger(setup.ERROR).exception("target %s", "\nforged\u202e")
    setup.finish()
    first, *others = out.read_text().splitlines()
    assert first == "target "
    assert others[0] == r"  forged\u202e"
    assert others[-1] == r"  forged\x1b[2J"
    assert all(line.startswith("  ") for line in others)


def _is_log(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # or a zombie, by then
        return "pyfork: log" in process.cmdline()
    return False
