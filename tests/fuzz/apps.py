"""An application in WSGI and in ASGI that answers in every shape; the path says which."""

import asyncio
from collections.abc import Iterable
from typing import Any

BIG = 100_000  # bytes of the largest piece
PIECES = 12
LONG = 20_000  # bytes of each of so many


def wsgi(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/raises":
        raise LookupError("raised on purpose")
    if path == "/short":
        start("200 OK", [("Content-Length", "9")])
        return [b"short"]
    write = start("200 OK", [("X-Path", "known")])
    if path == "/big":
        return [bytes(BIG)]
    if path == "/written":
        write(b"written")
    if path in ("/stream", "/breaks"):
        return _pieces(path == "/breaks")
    return [environ["wsgi.input"].read()]


def _pieces(breaks: bool) -> Iterable[bytes]:
    for number in range(PIECES):
        if breaks and number == PIECES // 2:
            raise LookupError("raised on purpose")
        yield bytes(LONG)


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    body = b""
    if path == "/raises":
        raise LookupError("raised on purpose")
    if path == "/waits":
        for _ in range(20):
            await asyncio.sleep(0)
    if path not in ("/unread", "/stream"):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
    headers = [(b"content-length", b"9")] if path == "/short" else [(b"x-path", b"known")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path in ("/stream", "/breaks"):
        for number in range(PIECES):
            if path == "/breaks" and number == PIECES // 2:
                raise LookupError("raised on purpose")
            await send({"type": "http.response.body", "body": bytes(LONG), "more_body": True})
    body = bytes(BIG) if path == "/big" else body
    await send({"type": "http.response.body", "body": b"short" if path == "/short" else body})
