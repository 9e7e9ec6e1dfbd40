"""A worker that serves nothing: it says what it is told to say, and waits for its end.

What it does is in the app's name: words joined by dots, each a step of its life, in order. A word
may be read from a file, so that a reload finds something else: ``@PATH``.
"""

import logging
import os
import select
import signal
import sys
import time
from pathlib import Path

from pyfork.config.config import Config
from pyfork.errors import ExitStatus
from pyfork.ipc.channel import ChannelClosed
from pyfork.ipc.messages import Failed, Recycle, StartDrain, WorkerReady
from pyfork.ipc.worker_args import WorkerArgs


def main(birth: WorkerArgs) -> int:
    """Live as the app's name says."""
    text = birth.config.app or ""
    if text.startswith("@"):
        text = Path(text[1:]).read_text()
    for word in text.split("."):
        status = STEPS[word](birth)
        if status is not None:
            return status
    return serve(birth)


def serve(birth: WorkerArgs) -> int:
    """Say Ready, then answer each connection with slot and generation until told to leave."""
    if birth.config.timeout:
        birth.line.deadline = time.monotonic() + birth.config.timeout
    birth.channel.send(WorkerReady("wsgi"))
    while True:
        readable, _, _ = select.select([birth.channel, *birth.listeners], [], [], 0.1)
        if birth.config.timeout:
            birth.line.deadline = time.monotonic() + birth.config.timeout
        for listener in birth.listeners:
            if listener in readable:
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    continue
                command = connection.recv(100)
                connection.sendall(f"{birth.slot} {birth.generation} {os.getpid()}".encode())
                connection.close()
                obey(command, birth)
        try:
            if any(isinstance(each.message, StartDrain) for each in birth.channel.receive()):
                return 0
        except ChannelClosed:
            return 0


def obey(command: bytes, birth: WorkerArgs) -> None:
    """What a client asks of the worker that took its connection."""
    if command == b"hang":
        birth.line.in_flight, birth.line.activity = 1, "GET /hang"
        birth.line.busy_since = time.monotonic()
        time.sleep(1000)
    elif command == b"deaf":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGABRT])
        time.sleep(1000)
    elif command == b"orphan":
        if os.fork() == 0:
            if os.fork() == 0:
                time.sleep(0.05)  # its parent is gone by then
            os._exit(0)
        os.wait()
    elif command == b"worn":
        birth.channel.send(Recycle("it has served enough"))


def fail(birth: WorkerArgs) -> int:
    """The application does not load."""
    birth.channel.send(Failed("no module named shop", "Traceback:\n  import shop\nBOOM"))
    return ExitStatus.BOOT


def slow(birth: WorkerArgs) -> None:
    """The application takes its time to load."""
    time.sleep(1000)


def die(birth: WorkerArgs) -> None:
    """A crash at import."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave(birth: WorkerArgs) -> None:
    """The application calls sys.exit."""
    sys.exit(7)


def wrong(birth: WorkerArgs) -> None:
    """A defect in the worker."""
    raise RuntimeError("unheard of")


def serving(birth: WorkerArgs) -> None:
    """Nothing special."""


def told(birth: WorkerArgs) -> None:
    """The application writes to the log."""
    logging.getLogger("pyfork.error").warning("a worker speaks")


STEPS = {each.__name__: each for each in (told, fail, slow, die, leave, wrong, serving)}


def config(text: str) -> Config:
    """The Config that ``text``, a Python dict, stands for."""
    return Config(**eval(text))


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):  # as pyfork.__main__ does
        signal.signal(number, lambda *_: os._exit(0))
    if "subreaper" in sys.argv:
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    print("the process is up", flush=True)

    from pyfork.arbiter.build import build
    from pyfork.errors import PyforkError

    source = Path(sys.argv[1])
    try:
        arbiter = build(
            config(source.read_text()),
            reread=lambda: config(source.read_text()),
            worker_main="tests.arbiter.fake_worker:main",
        )
        sys.exit(arbiter.run())
    except PyforkError as error:
        print(f"pyfork: error: {error}", file=sys.stderr)
        sys.exit(error.status)
