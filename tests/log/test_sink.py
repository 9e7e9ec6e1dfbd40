"""A sink: what it writes, what it keeps, and what it loses, on each kind of descriptor."""

import fcntl
import os
import pty
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pyfork.log.output import LogOutput
from pyfork.log.sink import LIMIT, PATIENCE, Sink
from tests.harness.server import environment

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe, whose writing end keeps its flags."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    try:
        yield reader, writer
        assert fcntl.fcntl(writer, fcntl.F_GETFL) == flags
    finally:
        os.close(reader)
        os.close(writer)


def read(reader: int) -> bytes:
    found = b""
    try:
        while data := os.read(reader, 65536):
            found += data
    except BlockingIOError:
        return found
    return found


def fill(output: LogOutput) -> None:
    """Until it takes no more."""
    with suppress(BlockingIOError):
        while output.write(b"x" * 1000):
            pass


def test_order_and_whole_lines_through_a_pipe_that_fills() -> None:
    with pipe() as (reader, writer):
        sink = Sink(f"/dev/fd/{writer}", stream=2)
        lines = [f"{number} ".ljust(number * 37 % 9000, "x") for number in range(60)]
        text = b""
        for line in lines:
            sink.write(line)
        while sink.is_waiting:
            text += read(reader)
            sink.flush()
        text += read(reader)
        sink.close()
    assert text.decode().splitlines() == lines
    assert sink.lost == 0


def test_waits_are_bounded_and_lines_counted() -> None:
    with pipe() as (reader, writer):
        sink = Sink(f"/dev/fd/{writer}", stream=2)
        began = time.monotonic()
        for number in range(10_000):
            sink.write(f"{number} {'x' * 100}")
        assert time.monotonic() - began < PATIENCE + 1
        text = b""
        while sink.is_waiting:
            text += read(reader)
            sink.flush()
        text += read(reader)
        written = [int(line.split()[0]) for line in text.splitlines()]
        assert written == list(range(10_000 - sink.lost))
        assert LIMIT < len(text) < LIMIT + (1 << 20)
        sink.close()


def test_stand_still_costs_one_wait() -> None:
    with pipe() as (_, writer):
        sink = Sink(f"/dev/fd/{writer}", stream=2)
        while not sink.lost:
            sink.write("x" * 1000)
        began = time.process_time(), time.monotonic()
        for _ in range(100):
            sink.write("x" * 1000)
        assert time.monotonic() - began[1] < 50 * PATIENCE  # 100 lines that each wait take longer
        assert sink.lost == 101
        sink.close()


def test_line_that_was_cut_by_a_full_disk_is_ended(tmp_path: Path) -> None:
    script = """
        import logging, resource, signal, sys
        from pyfork.config.config import Config
        from pyfork.log import setup
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        setup.configure(Config(error_logfile=sys.argv[1]))
        log = logging.getLogger(setup.ERROR)
        log.info("first")
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
        for _ in range(3):
            log.info("x" * 200)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        log.info("last")
        print(setup.lost())
    """
    path = tmp_path / "error.log"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == "3\n"
    assert done.stderr == f"pyfork: cannot write to {path}: File too large\n"
    lines = path.read_text().splitlines()
    assert [line.rsplit("] ", 1)[1].rstrip("x") for line in lines] == [
        "first",
        "",
        "last",
        f"3 lines were lost: {path} took no more",
    ]


@pytest.mark.parametrize("length", [100, 3000, 7000])
def test_lines_of_several_processes_do_not_mix(length: int) -> None:
    """Also not those that are longer than what a pipe takes at once."""
    script = """
        import os, sys
        from pyfork.log.sink import Sink
        sink = Sink("-", stream=1)
        for number in range(200):
            sink.write(sys.argv[1] * int(sys.argv[2]))
            while sink.is_waiting:
                sink.flush(0.01)
    """
    reader, writer = os.pipe()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), letter, str(length)],
            stdout=writer,
            env=environment(),
        )
        for letter in "abc"
    ]
    os.close(writer)
    with open(reader, "rb") as file:
        lines = file.read().splitlines()
    assert [each.wait(30) for each in writers] == [0, 0, 0]
    assert sorted(lines) == [letter * length for letter in (b"a", b"b", b"c") for _ in range(200)]


@needs_root
def test_pipe_of_another_user() -> None:
    """It cannot be opened anew."""
    with pipe() as (reader, writer):
        os.seteuid(NOBODY)
        try:
            output = LogOutput.of_stream(writer)
        finally:
            os.seteuid(0)
        assert output.fd == writer
        fill(output)
        assert len(read(reader)) >= 60_000
        output.close()


@needs_root
def test_terminal_of_another_user() -> None:
    """It is opened as the one that controls the process."""
    with pipe() as (reader, writer):
        pid, ours = pty.fork()
        if pid == 0:
            try:
                os.seteuid(NOBODY)
                output = LogOutput.of_stream(1)
                kept = os.get_blocking(1) and not os.get_blocking(output.fd)
                os.write(writer, b"own" if kept and output.fd != 1 else b"shared")
                output.write(b"line\n")
            finally:
                os._exit(0)
        assert os.read(ours, 100) == b"line\r\n"
        os.waitpid(pid, 0)
        os.close(ours)
        assert read(reader) == b"own"


def test_socket_stays_as_it_is() -> None:
    """Whatever the default timeout of sockets."""
    reader, writer = socket.socketpair()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5.0)
    try:
        output = LogOutput.of_stream(writer.fileno())
        fill(output)
        assert os.get_blocking(writer.fileno())
        assert socket.getdefaulttimeout() == 5.0
        output.close()
    finally:
        socket.setdefaulttimeout(before)
        reader.close()
        writer.close()


def test_prints_of_the_arbiter_do_not_block() -> None:
    script = """
        import sys
        from pyfork.log import streams
        streams.never_wait()
        for number in range(1000):
            print("x" * 1000)
            print("x" * 1000, file=sys.stderr)
        sys.stdout.buffer.write(b"bytes\\n")
        assert sys.stdout.fileno() == 1
        streams.restore()
        assert sys.stdout is sys.__stdout__
    """
    with pipe() as (_, writer):
        command = [sys.executable, "-c", textwrap.dedent(script)]
        subprocess.run(
            command, stdout=writer, stderr=writer, env=environment(), check=True, timeout=30
        )


def test_flush_at_the_end_gives_up() -> None:
    script = """
        import sys
        from pyfork.log import streams
        sys.stdout.write("y" * 5000)
        streams.flush(0.1)
        import os; os._exit(3)
    """
    with pipe() as (reader, writer):
        command = [sys.executable, "-c", textwrap.dedent(script)]
        own = LogOutput.of_stream(writer)
        fill(own)
        done = subprocess.run(command, stdout=writer, env=environment(), check=False, timeout=30)
        own.close()
        assert done.returncode == 3
        assert b"y" not in read(reader)
