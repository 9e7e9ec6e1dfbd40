"""The routes as a bare ASGI application, with lifespan."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The application."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    else:
        await Exchange(scope, receive, send).answer()


async def lifespan(receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{stage}"
        await send({"type": f"lifespan.{stage}.complete"})


async def echo(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        answer = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
        await send({"type": "websocket.send", **answer})


class Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.query = parse_qs(scope["query_string"].decode())

    async def answer(self) -> None:
        match self.scope["method"], self.scope["path"]:
            case ["GET" | "HEAD", "/"]:
                await self.respond(200, b"hello from asgi")
            case ["POST", "/form"]:
                body = b"".join([chunk async for chunk in self.body()])
                await self.respond(200, parse_qs(body.decode())["name"][0].encode())
            case ["POST", "/upload"]:
                await self.upload()
            case ["GET", "/stream"]:
                await self.start(200)
                for number in range(int(self.query["n"][0])):
                    await self.more(b"chunk %d\n" % number)
                await self.send({"type": "http.response.body"})
            case ["GET", "/slow"]:
                await asyncio.sleep(float(self.query["s"][0]))
                await self.respond(200, b"slept")
            case ["GET", "/boom"]:
                raise RuntimeError("boom")
            case _:
                await self.respond(404, b"not found")

    async def upload(self) -> None:
        digest, length = hashlib.sha256(), 0
        async for chunk in self.body():
            digest.update(chunk)
            length += len(chunk)
        await self.respond(
            200, json.dumps({"sha256": digest.hexdigest(), "length": length}).encode()
        )

    async def body(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self.receive()
            assert message["type"] == "http.request"
            yield message.get("body", b"")
            more = message.get("more_body", False)

    async def respond(self, status: int, body: bytes) -> None:
        await self.start(status, (b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.body", "body": body})

    async def start(self, status: int, *headers: tuple[bytes, bytes]) -> None:
        about = [(b"content-type", b"text/plain"), (b"x-pid", str(os.getpid()).encode())]
        start = {"type": "http.response.start", "status": status, "headers": [*about, *headers]}
        await self.send(start)

    async def more(self, body: bytes) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
