"""``pyfork run`` while clients are slow, workers are killed, and logs or descriptors run out."""

import array
import contextlib
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.test_bind import write
from tests.harness.ports import free_port
from tests.harness.script import Script, ScriptLoad, ask
from tests.harness.server import PATIENCE, environment

KEEPING = str(Path(__file__).with_name("keepalive_script.py"))
CHATTY = """
import sys
port, stream = int(sys.argv[1]), getattr(sys, sys.argv[2])
def chat():
    while True:
        try:
            stream.write("x" * 200 + "\\n")
            stream.flush()
        except OSError:
            return
listener = socket.create_server(("127.0.0.1", port))
threading.Thread(target=chat, daemon=True).start()
serve(listener)
"""


class Unread:
    """``pyfork run`` whose standard output and standard error are one pipe that nobody reads.

    With ``disk`` they are a file on a full disk.
    """

    def __init__(self, *words: str, directory: Path, disk: bool = False) -> None:
        self.reading, writing = os.pipe()
        if disk:
            os.close(writing)
            writing = os.open("/dev/full", os.O_WRONLY)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pyfork", "run", *words],
            cwd=directory,
            env=environment(),
            stdout=writing,
            stderr=writing,
        )
        os.close(writing)
        self.tree = psutil.Process(self.process.pid)

    def workers(self) -> set[int]:
        return {each.pid for each in self.tree.children()}

    def until_full(self) -> None:
        """Until nothing more fits into the pipe."""
        before = -1
        deadline = time.monotonic() + PATIENCE
        while (now := _queued(self.reading)) != before or now < 4096:
            assert time.monotonic() < deadline, f"{now} bytes are in the pipe"
            before = now
            time.sleep(0.2)


def _queued(fd: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


@contextlib.contextmanager
def unread(*words: str, directory: Path, disk: bool = False) -> Iterator[Unread]:
    running = Unread(*words, directory=directory, disk=disk)
    everyone: list[psutil.Process] = []
    try:
        yield running
        with contextlib.suppress(psutil.Error):
            everyone = [running.tree, *running.tree.children(recursive=True)]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0
        _, left = psutil.wait_procs(everyone, timeout=PATIENCE)
        assert not left
    finally:
        for each in [running.tree, *everyone]:
            with contextlib.suppress(psutil.Error):
                each.kill()
        running.process.wait()
        with contextlib.suppress(OSError):
            os.close(running.reading)


def until(found: object, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def answers(port: int) -> bool:
    try:
        return ask(port) > 0
    except OSError:
        return False


FAULTS = pytest.mark.parametrize("fault", ["full", "closed", "disk"])


@FAULTS
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_nobody_reads_what_a_script_prints(stream: str, fault: str, tmp_path: Path) -> None:
    """It serves, is replaced, reloaded and stopped all the same."""
    port = free_port()
    script = write(tmp_path, CHATTY)
    words = ("-w", "2", "--graceful-timeout", "3", script, "--", str(port), stream)
    with unread(*words, directory=tmp_path, disk=fault == "disk") as running:
        until(lambda: answers(port), "it answers")
        if fault == "full":
            running.until_full()
        elif fault == "closed":
            os.close(running.reading)
        assert ask(port)
        pids = running.workers()
        os.kill(min(pids), signal.SIGKILL)
        until(lambda: len(running.workers() - {min(pids)}) == 2, "it is replaced")
        until(lambda: answers(port), "it answers")
        old = running.workers()
        running.process.send_signal(signal.SIGHUP)
        until(lambda: len(running.workers()) == 2 and not running.workers() & old, "it is reloaded")
        assert ask(port)


@FAULTS
def test_nobody_reads_and_the_arbiter_is_killed(fault: str, tmp_path: Path) -> None:
    """Its workers leave, and have nothing to say that would hold them up."""
    port = free_port()
    words = ("-w", "2", write(tmp_path, CHATTY), "--", str(port), "stderr")
    running = Unread(*words, directory=tmp_path, disk=fault == "disk")
    workers: list[psutil.Process] = []
    try:
        until(lambda: answers(port), "it answers")
        if fault == "full":
            running.until_full()
        elif fault == "closed":
            os.close(running.reading)
        until(lambda: len(running.workers()) == 2, "there are two workers")
        workers = running.tree.children()
        running.process.kill()
        _, left = psutil.wait_procs(workers, timeout=PATIENCE)
        assert not left
    finally:
        for each in [running.tree, *workers]:
            with contextlib.suppress(psutil.Error):
                each.kill()
        running.process.wait()
        with contextlib.suppress(OSError):
            os.close(running.reading)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop", "threads"])
def test_clients_that_say_nothing_and_read_nothing(kind: str, tmp_path: Path) -> None:
    """They hold a stop up for as long as --graceful-timeout says, and nobody else."""
    port = free_port()
    options = ["--graceful-timeout", "2"]
    with (
        Script(KEEPING, kind, str(port), workers=2, options=options, directory=tmp_path) as running,
        contextlib.ExitStack() as stack,
    ):
        for number in range(40):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"GET / HTTP/1.1\r\n"[: number % 4])
        assert ask(port) in running.pids()
        old = running.pids()
        running.signal(signal.SIGHUP)
        running.wait_log("generation 2 serves")
        running.until(lambda: ask(port) in running.pids() - old, "a new one answers")
        running.until(lambda: not running.pids() & old, "the old ones are gone")
        began = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert time.monotonic() - began < 6


@pytest.mark.parametrize("policy", ["shared", "least", "round-robin"])
def test_no_descriptor_is_left(policy: str, tmp_path: Path) -> None:
    """A worker with none accepts nothing for a while; nobody dies, and it goes on afterwards."""
    port = free_port()
    text = f"""
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (48, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
async def answer(reader, writer):
    try:
        if await reader.readline():
            writer.write(b"HTTP/1.0 200 OK\\\\r\\\\n\\\\r\\\\n" + TEXT)
    except ConnectionError:
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", {port}, backlog=512)
    await server.serve_forever()
asyncio.run(main())
""".replace("\\\\", "\\")
    options = ["--dispatch", policy]
    with Script(write(tmp_path, text), workers=2, options=options, directory=tmp_path) as running:
        pids = running.pids()
        with contextlib.ExitStack() as stack:
            for _ in range(150):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            time.sleep(0.5)  # what is to hold is that nothing happens
            assert running.pids() == pids
        running.until(lambda: answers(port), "it answers again")
        assert running.pids() == pids
        old = running.pids()
        running.signal(signal.SIGHUP)
        running.wait_log("generation 2 serves")
        running.until(lambda: not running.pids() & old, "the old ones are gone")
        assert ask(port) in running.pids()


@pytest.mark.soak
@pytest.mark.parametrize("policy", ["shared", "least", "round-robin", "reuseport"])
def test_kills_under_load(policy: str, tmp_path: Path) -> None:
    """60 kills, stops and reloads in some order; nobody is refused, and the port stays."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    port = free_port()
    options = ["--dispatch", policy, "--graceful-timeout", "5"]
    with Script(
        KEEPING, "asyncio", str(port), workers=3, options=options, directory=tmp_path
    ) as running:
        with ScriptLoad(port, clients=4) as load:
            for _ in range(60):
                what = chance.choice(["kill", "kill", "term", "stop", "reload"])
                if what == "reload":
                    running.signal(signal.SIGHUP)
                elif pids := sorted(running.pids()):
                    pid = chance.choice(pids)
                    number = {
                        "kill": signal.SIGKILL,
                        "term": signal.SIGTERM,
                        "stop": signal.SIGSTOP,
                    }[what]
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                        if what == "stop":
                            threading.Timer(0.2, _go_on, (pid,)).start()
                time.sleep(chance.uniform(0, 0.3))
            served = sum(load.answers.values())
            running.until(lambda: sum(load.answers.values()) > served + 50, "it goes on")
        assert not [each for each in load.failures if "Refused" in each]
        running.until(lambda: len(running.pids()) == 3, "there are three")
        print(served, "answers", len(load.failures), "cut")


def _go_on(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
