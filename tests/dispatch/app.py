"""The application: it says which process answers.

GET /          at once
    /block?s=  after ``s`` seconds in which this thread does nothing else, also in ASGI; it says so
               on stdout when they begin
    /work?ms=  after ``ms`` milliseconds of the same, without a word
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
    for seconds in asked.get("s", ()):
        print("blocked", os.getpid(), flush=True)
        time.sleep(float(seconds))
