"""Rooms with python-socketio, beside a Starlette application."""

from typing import Any

import socketio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

server = socketio.AsyncServer(async_mode="asgi")


async def hello(request: Request) -> PlainTextResponse:
    """What is not Socket.IO."""
    return PlainTextResponse("hello")


@server.event  # type: ignore[untyped-decorator]
async def join(sid: str, message: dict[str, Any]) -> dict[str, Any]:
    """Enter a room; the answer is the acknowledgement."""
    await server.enter_room(sid, message["room"])
    return {"joined": message["room"]}


@server.event  # type: ignore[untyped-decorator]
async def say(sid: str, message: dict[str, Any]) -> None:
    """Tell all who are in the room."""
    await server.emit("said", {"text": message["text"]}, room=message["room"])


app = socketio.ASGIApp(server, Starlette(routes=[Route("/", hello)]))
