"""What `tests.bench.hostile` attacks, in WSGI and ASGI: a short answer, a long one, a late one."""

import asyncio
from collections.abc import Iterable
from typing import Any

LONG = bytes(200_000)


def wsgi(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    body = LONG if environ["PATH_INFO"] == "/long" else b"hello"
    environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await _echo(receive, send)
        return
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/late":
        await asyncio.sleep(60)
    body = LONG if scope["path"] == "/long" else b"hello"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": str(len(message.get("text") or ""))})
