"""ASGI applications, one for each case. None of them has a lifespan."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tests.bench.content import (
    BIG,
    CHUNK,
    CHUNKS,
    FIELDS,
    HELD,
    HELD_SECONDS,
    HELLO,
    JSON,
    file_path,
)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def _start(kind: str, length: int, *more: tuple[bytes, bytes]) -> dict[str, Any]:
    headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % length), *more]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _body(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body}


def _lower(fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in fields]


LOWER = _lower(FIELDS)


def _http(scope: Scope) -> None:
    """Lifespan events and the like are not for us: by the specification we raise."""
    if scope["type"] != "http":
        raise RuntimeError(f"this application does not speak {scope['type']}")


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    _http(scope)
    await send(_start("text/plain", len(HELLO)))
    await send(_body(HELLO))


async def pid(scope: Scope, receive: Receive, send: Send) -> None:
    _http(scope)
    body = b"%d" % os.getpid()
    await send(_start("text/plain", len(body)))
    await send(_body(body))


async def as_json(scope: Scope, receive: Receive, send: Send) -> None:
    _http(scope)
    body = json.dumps(JSON).encode()
    await send(_start("application/json", len(body)))
    await send(_body(body))


async def big(scope: Scope, receive: Receive, send: Send) -> None:
    _http(scope)
    await send(_start("text/html", len(BIG), *LOWER))
    await send(_body(BIG))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    _http(scope)
    pieces, more = [], True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(pieces)
    await send(_start("application/octet-stream", len(body)))
    await send(_body(body))


async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    """Counts what comes."""
    _http(scope)
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"%d" % length
    await send(_start("text/plain", len(body)))
    await send(_body(body))


async def file(scope: Scope, receive: Receive, send: Send) -> None:
    """By the pathsend extension where the server has it, else in pieces."""
    _http(scope)
    path = file_path()
    await send(_start("application/octet-stream", path.stat().st_size))
    if "http.response.pathsend" in scope.get("extensions", {}):
        await send({"type": "http.response.pathsend", "path": str(path)})
        return
    with path.open("rb") as stream:
        while piece := stream.read(65536):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send(_body(b""))


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    _http(scope)
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(CHUNKS):
        if number == 1 and scope["path"] == HELD:
            await asyncio.sleep(HELD_SECONDS)
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send(_body(b""))


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes each message."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text")})
