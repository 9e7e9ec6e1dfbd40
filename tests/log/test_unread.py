"""Logs that nobody reads stop nothing: each fault with requests, HUP, TERM and a killed arbiter."""

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.log.unread import PLACES, Place, Unread, closed_pipe, full_pipe, opened

LINE = rb"x{1023}|\[.* \[(DEBUG|INFO|WARNING)\] .*|127\.0\.0\.1 - - .* \"-\" \"-\""
LOGS = ("-w", "2", "--log-level", "debug", "--access-logfile", "-")


@pytest.mark.parametrize("kind", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_nobody_reads(kind: Callable[[], Place], end: signal.Signals, tmp_path: Path) -> None:
    with opened(kind) as place, Unread(tmp_path, place.fd, *LOGS) as server:
        before = server.serves()
        server.get(count=300)
        server.signal(signal.SIGHUP)
        server.until(lambda: not server.get() & before, "the new generation serves")
        server.get("/boom", count=20, status=500)
        server.signal(end)
        assert server.wait() == (0 if end == signal.SIGTERM else -signal.SIGKILL)
        server.until(lambda: not server.processes(), "all have left")


def test_lost_lines_are_counted_and_told(tmp_path: Path) -> None:
    with opened(full_pipe) as place, Unread(tmp_path, place.fd, *LOGS) as server:
        server.serves()
        server.get("/" + "x" * 4000, count=400, status=404)
        text, lost = b"", 0

        def told() -> bool:
            nonlocal text, lost
            text += place.read()
            counts = re.findall(rb" (\d+) lines? w\w+ lost: stdout took no more\n", text)
            lost = sum(map(int, counts))
            return text.count(b"GET /" + b"x" * 4000 + b" HTTP/1.1") + lost == 400

        server.until(told, "the log says how many lines were lost")
        assert lost
        server.until(lambda: server.lost_lines() == lost, "and so does the status")
        server.get("/end", status=404)
        server.until(lambda: b'"GET /end' in place.read(), "lines come again")
        assert all(re.fullmatch(LINE, line) for line in text.splitlines()), text


def test_reader_of_a_fifo_is_stopped(tmp_path: Path) -> None:
    """The logs are a FIFO, opened by its name, whose reader gets SIGSTOP."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = subprocess.Popen(["cat", fifo], stdout=subprocess.DEVNULL)
    logs = ("--error-logfile", str(fifo), "--access-logfile", str(fifo), "--log-level", "debug")
    opened_fifo = os.open(fifo, os.O_RDWR)  # a reader, until cat has opened it
    try:
        with (
            opened(closed_pipe) as place,
            Unread(tmp_path, place.fd, "-w", "2", *logs) as server,
        ):
            before = server.serves()
            reader.send_signal(signal.SIGSTOP)
            server.get("/" + "x" * 4000, count=1200, status=404)  # more than two buffers hold
            server.signal(signal.SIGHUP)
            server.until(lambda: not server.get() & before, "the new generation serves")
            server.until(server.lost_lines, "lines are lost")
            server.signal(signal.SIGUSR1)
            server.get(count=20)
            reader.send_signal(signal.SIGCONT)
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
            server.until(lambda: not server.processes(), "all have left")
    finally:
        os.close(opened_fifo)
        reader.kill()
        reader.wait()
