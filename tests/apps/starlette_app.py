"""The routes in Starlette."""

import asyncio
import hashlib
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.apps.wsgi import chunks


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello from starlette", headers={"X-Pid": str(os.getpid())})


async def form(request: Request) -> Response:
    async with request.form() as fields:
        return PlainTextResponse(str(fields["name"]))


async def upload(request: Request) -> Response:
    digest, length = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        length += len(chunk)
    return JSONResponse({"sha256": digest.hexdigest(), "length": length})


async def stream(request: Request) -> Response:
    return StreamingResponse(chunks(int(request.query_params["n"])), media_type="text/plain")


async def slow(request: Request) -> Response:
    await asyncio.sleep(float(request.query_params["s"]))
    return PlainTextResponse("slept")


async def boom(request: Request) -> Response:
    raise RuntimeError("boom")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while (message := await websocket.receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await websocket.send_text(message["text"])
        else:
            await websocket.send_bytes(message["bytes"])


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/slow", slow),
        Route("/boom", boom),
        WebSocketRoute("/ws", echo),
    ]
)
