"""The application of `app`, which notes in the file TRACE when a worker was in it.

A line a request: process id, and when it began and ended, monotonic seconds. A line that begins
with "stall" tells when a process had no core.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.end_to_end.dispatch import app

TICK = 0.005  # seconds

_trace = os.open(os.environ["TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def watch_machine() -> None:
    """Note when this process, which sleeps, did not run in time."""
    while True:
        began = time.monotonic()
        time.sleep(TICK)
        if (ended := time.monotonic()) - began > 2 * TICK:
            os.write(_trace, f"stall {began} {ended}\n".encode())


threading.Thread(target=watch_machine, daemon=True).start()


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    began = time.monotonic()
    answer = app.wsgi(environ, start_response)
    os.write(_trace, f"{os.getpid()} {began} {time.monotonic()}\n".encode())
    return answer
