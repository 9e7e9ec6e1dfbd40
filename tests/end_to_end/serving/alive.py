"""Applications that say how many connections of their worker are in memory."""

import gc
from collections.abc import Callable, Iterable
from typing import Any

from pyfork.http.connection.connection import Connection


def connections() -> bytes:
    """How many, without a collection from the first question on."""
    gc.disable()
    return b"%d" % sum(type(each) is Connection for each in gc.get_objects())


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [connections()]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": connections()})
