"""WebSocket applications, by path. HTTP gives the notes that they took."""

import asyncio
import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

Scope = dict[str, Any]
notes: dict[str, Any] = {}


async def echo(scope: Scope, receive: Any, send: Any) -> None:
    """Echo, and note why it ended."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        kind = "text" if "text" in message else "bytes"
        await send({"type": "websocket.send", kind: message[kind]})
    notes["end"] = [message["code"], message["reason"]]
    notes["again"] = (await receive())["code"]
    try:
        await send({"type": "websocket.send", "text": "late"})
    except OSError as error:
        notes["send"] = type(error).__name__


async def idle(scope: Scope, receive: Any, send: Any) -> None:
    """Receive nothing before the file in the query exists; then count what came."""
    await receive()
    await send({"type": "websocket.accept"})
    while "go" not in notes:
        await asyncio.sleep(0.01)
    count = 0
    while (await receive())["type"] == "websocket.receive":
        count += 1
    notes["count"] = count


async def pour(scope: Scope, receive: Any, send: Any) -> None:
    """Send on and on."""
    await receive()
    await send({"type": "websocket.accept"})
    notes["sent"] = 0
    try:
        while True:
            await send({"type": "websocket.send", "bytes": bytes(64 * 1024)})
            notes["sent"] += 1
    except OSError:
        notes["sent"] = "gone"


async def tick(scope: Scope, receive: Any, send: Any) -> None:
    """Send now and then, and never receive."""
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        await send({"type": "websocket.send", "text": "tick"})
        await asyncio.sleep(0.01)


async def deny(scope: Scope, receive: Any, send: Any) -> None:
    await receive()
    assert "websocket.http.response" in scope["extensions"]
    headers = [(b"content-type", b"text/plain"), (b"x-why", b"full")]
    await send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
    for piece in (b"too ", b"many"):
        await send({"type": "websocket.http.response.body", "body": piece, "more_body": True})
    await send({"type": "websocket.http.response.body"})
    notes["denied"] = (await receive())["code"]


async def fields(scope: Scope, receive: Any, send: Any) -> None:
    await receive()
    headers = [(b"x-one", b"1"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]
    await send({"type": "websocket.accept", "headers": headers, "subprotocol": "chat"})
    about = {"type", "scheme", "path", "subprotocols", "http_version", "query_string", "asgi"}
    told = {key: str(value) for key, value in scope.items() if key in about}
    await send({"type": "websocket.send", "text": json.dumps(told)})


async def fails(scope: Scope, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    raise LookupError("failed in a WebSocket")


async def fails_early(scope: Scope, receive: Any, send: Any) -> None:
    raise LookupError("failed in a handshake")


async def returns_early(scope: Scope, receive: Any, send: Any) -> None:
    await receive()


async def splits(scope: Scope, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-a", b"1\r\nx-b: 2")]})


async def starlette_echo(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())


async def starlette_tick(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.send_text("tick")
        await asyncio.sleep(0.01)


async def show(request: Request) -> JSONResponse:
    notes.update(request.query_params)
    return JSONResponse(notes)


KINDS = {
    each.__name__: each
    for each in (
        echo,
        idle,
        pour,
        tick,
        deny,
        fields,
        fails,
        fails_early,
        returns_early,
        splits,
    )
}
starlette = Starlette(
    routes=[
        WebSocketRoute("/starlette_echo", starlette_echo),
        WebSocketRoute("/starlette_tick", starlette_tick),
        Route("/notes", show),
    ]
)


async def app(scope: Scope, receive: Any, send: Any) -> None:
    """The application."""
    kind = KINDS.get(scope.get("path", "")[1:])
    await (kind or starlette)(scope, receive, send)
