"""An application that registers, starts and opens whatever Python sees to at its end.

Everything writes a line into ``notes`` in the current directory.
"""

import atexit
import concurrent.futures
import ctypes
import logging
import logging.handlers
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

FORK = multiprocessing.get_context("fork")
PID = os.getpid()


def note(*what: object) -> None:
    with open("notes", "a") as file:
        file.write(" ".join(map(str, what)) + "\n")


atexit.register(note, "exit function 1")
atexit.register(note, "exit function 2")

records = logging.getLogger("shop")
records.setLevel(logging.INFO)
records.propagate = False
records.addHandler(
    logging.handlers.MemoryHandler(100, target=logging.FileHandler("records", delay=True))
)

file = open("file", "a")  # noqa: SIM115 never closed
pool = concurrent.futures.ThreadPoolExecutor(1)
processes = concurrent.futures.ProcessPoolExecutor(1, mp_context=FORK)
directory = tempfile.TemporaryDirectory(dir=".", prefix="temporary-")


def on_term(number: int, frame: object) -> None:
    note("SIGTERM", threading.current_thread() is threading.main_thread(), os.getpid() == PID)
    if os.environ.get("EXITS"):
        sys.exit(5)


if os.environ.get("HANDLER") == "import":
    signal.signal(signal.SIGTERM, on_term)


def job(number: int) -> None:
    time.sleep(0.1)
    note("job", number)


def sleep() -> None:
    time.sleep(60)


def jobs() -> None:
    for number in (1, 2):
        pool.submit(job, number)


def record() -> None:
    records.info("a record")


def write() -> None:
    file.write("not flushed")


def process_pool() -> None:
    processes.submit(abs, -1).result()


def child() -> None:
    FORK.Process(target=sleep, name="outliving").start()


def daemon() -> None:
    FORK.Process(target=sleep, name="daemonic", daemon=True).start()


def terminated() -> None:
    """A child that is terminated ends, and its worker does not hear it."""
    process = FORK.Process(target=sleep)
    process.start()
    process.terminate()
    process.join(5)
    note("terminated", process.exitcode)


def executed() -> None:
    """What a program that is executed has open besides the standard streams."""
    listing = "import os; print(*(os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.islink(f'/proc/self/fd/{n}')))"  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", listing], close_fds=False, capture_output=True, text=True, check=True
    )
    note("executed", done.stdout.count("socket:"))


def forked() -> None:
    """A child that was forked behind Python's back would still have a copy of the connection."""
    child = os.fork()
    if child == 0:
        sockets = []
        for fd in range(3, 256):
            try:
                sockets.append(socket.socket(fileno=fd).detach())
            except OSError:
                continue
        note("forked", len([fd for fd in sockets if fd >= 0]))
        time.sleep(60)
        os._exit(0)


def forked_by_a_library() -> None:
    """C code forks, of which Python hears nothing."""
    library = ctypes.PyDLL(None)
    if library.fork() == 0:
        library.sleep(60)
        library._exit(0)


def thread() -> None:
    threading.Thread(target=sleep, name="poller").start()


def exit_function() -> None:
    atexit.register(sleep)


def late_handler() -> None:
    signal.signal(signal.SIGTERM, on_term)


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    todo = environ["PATH_INFO"][1:]
    if todo:
        globals()[todo]()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
