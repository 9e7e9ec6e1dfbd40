"""The application: it says which process answers.

GET /          at once
    /block?s=  after ``s`` seconds in which this thread does nothing else, also in ASGI; it says so
               on stdout when they begin
    /work?ms=  after ``ms`` milliseconds of the same, without a word
    /spin?spin= after so many seconds in which it keeps the interpreter; it says so as well
    /fork?fork= after a process that it forked has counted its threads, and ``s`` seconds more
"""

import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qs


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    block(environ["QUERY_STRING"])
    pid = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(pid)))])
    return [pid]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    assert scope["type"] == "http"
    block(scope["query_string"].decode())
    pid = str(os.getpid()).encode()
    length = (b"content-length", str(len(pid)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": pid})


def block(query: str) -> None:
    asked = parse_qs(query)
    for milliseconds in asked.get("ms", ()):
        time.sleep(int(milliseconds) / 1000)
    for seconds in asked.get("spin", ()):
        print("blocked", os.getpid(), flush=True)
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            pass
    for seconds in asked.get("fork", ()):
        time.sleep(float(seconds))
        print("threads", in_child(threads), flush=True)
    for seconds in asked.get("s", ()):
        print("blocked", os.getpid(), flush=True)
        time.sleep(float(seconds))


def threads() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/task"))


def in_child(call: Callable[[], int]) -> int:
    """What ``call`` gives in a process of its own."""
    pid = os.fork()
    if not pid:
        os._exit(call())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
