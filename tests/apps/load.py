"""The application under load, in WSGI and in ASGI: each answer names its request and its code.

The file that $LOAD_CODE names stands for the code: JSON, read once at import, as code is.
``version`` is what answers say, ``boot`` is how many seconds the import takes.

GET /small?n=   a line
    /slow?n=&s= the same after s seconds
    /stream?n=  5 MiB, piece by piece
    /whole?n=   5 MiB at once
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.end_to_end.load.content import big, blocks, title

_code = json.loads(Path(os.environ["LOAD_CODE"]).read_text())
if _code["boot"]:
    time.sleep(_code["boot"])
VERSION: str = _code["version"]


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    query = parse_qs(environ["QUERY_STRING"])
    first = title(query["n"][0], VERSION)
    if "s" in query:
        time.sleep(float(query["s"][0]))
    start_response("200 OK", [("X-Version", VERSION)])
    match environ["PATH_INFO"]:
        case "/stream":
            return _pieces(first)
        case "/whole":
            return [first, big()]
    return [first]


def _pieces(first: bytes) -> Iterator[bytes]:
    yield first
    yield from blocks()


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    assert scope["type"] == "http"
    query = parse_qs(scope["query_string"].decode())
    first = title(query["n"][0], VERSION)
    if "s" in query:
        await asyncio.sleep(float(query["s"][0]))
    headers = [(b"x-version", VERSION.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    match scope["path"]:
        case "/stream":
            for piece in _pieces(first):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            first = b""
        case "/whole":
            first += big()
    await send({"type": "http.response.body", "body": first})
