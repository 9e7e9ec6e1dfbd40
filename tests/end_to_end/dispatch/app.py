"""The application: it says which process answers.

GET /          at once
    /block?s=  after ``s`` seconds in which this thread does nothing else, also in ASGI; it says so
               on stdout when they begin
    /later?until=&pause= in a later step of an ASGI task: when that file is there; it looks every
               ``pause`` seconds
    /work?ms=  after ``ms`` milliseconds of the same, without a word
    /spin?spin= after so many seconds in which it keeps the interpreter; it says so as well
    /fork?fork= forks and says how many threads it had then; and ``s`` seconds more
"""

import asyncio
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
    if scope["path"] == "/later":
        await asyncio.sleep(0.01)
    block(scope["query_string"].decode())
    pid = str(os.getpid()).encode()
    length = (b"content-length", str(len(pid)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": pid})


def block(query: str) -> None:
    asked = parse_qs(query)
    for milliseconds in asked.get("ms", ()):
        time.sleep(int(milliseconds) / 1000)
    for path in asked.get("until", ()):
        print("blocked", os.getpid(), flush=True)
        while not os.path.exists(path):
            time.sleep(float(asked["pause"][0]))
    for seconds in asked.get("spin", ()):
        print("blocked", os.getpid(), flush=True)
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            pass
    for seconds in asked.get("fork", ()):
        time.sleep(float(seconds))
        print("threads", fork(), flush=True)
    for seconds in asked.get("s", ()):
        print("blocked", os.getpid(), flush=True)
        time.sleep(float(seconds))


def fork() -> int:
    """Fork a process that ends; how many threads this one had when it did."""
    counts: list[int] = []
    forking.append(lambda: counts.append(len(os.listdir("/proc/self/task"))))
    pid = os.fork()
    if not pid:
        os._exit(0)
    forking.clear()
    assert os.waitpid(pid, 0)[1] == 0
    return counts[0]


# What is registered first is called last before a fork, so behind the server's own.
forking: list[Callable[[], None]] = []
os.register_at_fork(before=lambda: [call() for call in forking])
