"""Starlette with static files, sessions, GZip, events and WebSockets.

STARLETTE_SITE names a directory with a file, `page.txt`.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

DIRECTORY = os.environ["STARLETTE_SITE"]


async def count(request: Request) -> JSONResponse:
    """How often this client has asked, in a signed cookie."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JSONResponse({"visits": request.session["visits"], "query": dict(request.query_params)})


async def login(request: Request) -> RedirectResponse:
    """A form."""
    async with request.form() as form:
        request.session["user"] = str(form["user"])
    return RedirectResponse("/who", status_code=303)


async def who(request: Request) -> JSONResponse:
    """Who has logged in."""
    return JSONResponse({"user": request.session.get("user")})


async def upload(request: Request) -> JSONResponse:
    """The size of a body that is read in pieces."""
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
    except ClientDisconnect:
        raise AssertionError("nobody leaves") from None
    return JSONResponse({"size": size})


async def lines(request: Request) -> StreamingResponse:
    """Lines, one by one."""

    async def pieces() -> AsyncIterator[str]:
        for number in range(50):
            yield f"line {number}\n"
            await asyncio.sleep(0)

    return StreamingResponse(pieces(), media_type="text/plain")


async def page(request: Request) -> FileResponse:
    """A file."""
    return FileResponse(os.path.join(DIRECTORY, "page.txt"))


async def upper(websocket: WebSocket) -> None:
    """What is said, in capital letters, until the client closes."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_json({"upper": text.upper()})


app = Starlette(
    routes=[
        Route("/", count),
        Route("/login", login, methods=["POST"]),
        Route("/who", who),
        Route("/upload", upload, methods=["POST"]),
        Route("/lines", lines),
        Route("/page", page),
        WebSocketRoute("/upper", upper),
        Mount("/static", StaticFiles(directory=DIRECTORY)),
    ],
    middleware=[
        Middleware(GZipMiddleware, minimum_size=500),
        Middleware(SessionMiddleware, secret_key="for tests"),
    ],
)
