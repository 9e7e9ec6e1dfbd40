"""An application that tells what it was told about TLS, in WSGI and in ASGI.

GET  /         JSON: scheme, and SSL_* or the extension tls
     /big      8 MiB
     /file     8 MiB from a file (WSGI)
     /environ  the variables that have to do with passwords (WSGI)
     /slow     an answer after a moment
     /stream   an answer without an end (ASGI)
POST /         the body
A WebSocket tells scheme and the extension's version, and echoes.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

BIG = bytes(range(256)) * (32 * 1024)
SLOW = 0.5


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    known = {name: text for name, text in environ.items() if name.startswith(("SSL_", "HTTPS"))}
    start_response("200 OK", [])
    if environ["REQUEST_METHOD"] == "POST":
        return [environ["wsgi.input"].read()]
    match environ["PATH_INFO"]:
        case "/big":
            return [BIG]
        case "/file":
            file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
            file.write(BIG)
            file.seek(0)
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
            return wrapped
        case "/slow":
            time.sleep(SLOW)
        case "/environ":
            return [json.dumps([name for name in os.environ if "PASSWORD" in name]).encode()]
    return [json.dumps({"scheme": environ["wsgi.url_scheme"], **known}).encode()]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] == "websocket":
        about = scope.get("extensions", {}).get("tls") or {}
        await echo(f"{scope['scheme']} {about.get('tls_version')}", receive, send)
        return
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(SLOW)
    if scope["method"] == "GET":
        told = {"scheme": scope["scheme"], "tls": scope.get("extensions", {}).get("tls")}
        body = BIG if scope["path"] == "/big" else json.dumps(told).encode()
    await send({"type": "http.response.start", "status": 200})
    while scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b".", "more_body": True})
        await asyncio.sleep(SLOW)
    await send({"type": "http.response.body", "body": body})


async def echo(
    greeting: str,
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """A greeting first, then what comes."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": greeting})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
