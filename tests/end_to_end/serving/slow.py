"""Applications that take SECONDS to begin a response; they ask for more time if told to."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

SECONDS = 3.0  # the sweep looks once a second


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    if environ["QUERY_STRING"] == "extended":
        environ["pyfork.extend_timeout"](30)
    time.sleep(SECONDS)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"slow"]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["query_string"] == b"extended":
        scope["extensions"]["pyfork.extend_timeout"](30)
    await asyncio.sleep(SECONDS)
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"slow"})
