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


def main(args: WorkerArgs) -> int:
    """Live as the app's name says."""
    text = args.config.app or ""
    if text.startswith("@"):
        text = Path(text[1:]).read_text()
    for word in text.split("."):
        status = STEPS[word](args)
        if status is not None:
            return status
    return serve(args)


def serve(args: WorkerArgs) -> int:
    """Say Ready, then answer each connection with slot and generation until told to leave."""
    if args.config.timeout:
        args.row.deadline = time.monotonic() + args.config.timeout
    args.channel.send(WorkerReady("wsgi"))
    while True:
        readable, _, _ = select.select([args.channel, *args.listeners], [], [], 0.1)
        if args.config.timeout:
            args.row.deadline = time.monotonic() + args.config.timeout
        for listener in args.listeners:
            if listener in readable:
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    continue
                command = connection.recv(100)
                connection.sendall(f"{args.slot} {args.generation} {os.getpid()}".encode())
                connection.close()
                obey(command, args)
        try:
            if any(isinstance(each.message, StartDrain) for each in args.channel.receive()):
                return 0
        except ChannelClosed:
            return 0


def obey(command: bytes, args: WorkerArgs) -> None:
    """What a client asks of the worker that took its connection."""
    if command == b"hang":
        args.row.in_flight, args.row.activity = 1, "GET /hang"
        args.row.busy_since = time.monotonic()
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
        args.channel.send(Recycle("it has served enough"))


def fail(args: WorkerArgs) -> int:
    """The application does not load."""
    args.channel.send(Failed("no module named shop", "Traceback:\n  import shop\nBOOM"))
    return ExitStatus.BOOT


def slow(args: WorkerArgs) -> None:
    """The application takes its time to load."""
    time.sleep(1000)


def die(args: WorkerArgs) -> None:
    """A crash at import."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave(args: WorkerArgs) -> None:
    """The application calls sys.exit."""
    sys.exit(7)


def wrong(args: WorkerArgs) -> None:
    """A defect in the worker."""
    raise RuntimeError("unheard of")


def serving(args: WorkerArgs) -> None:
    """Nothing special."""


def told(args: WorkerArgs) -> None:
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
