"""Streams of every framework that wait for their next event; GET /notes tells what became of them.

Each notes "open" when it has sent its first piece, and "closed" when its generator is cleaned up.
GET /open/NAME lets work go on that waits for it.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse as FastApiStream
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

notes: dict[str, list[str]] = defaultdict(list)
gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]


async def events(name: str) -> AsyncIterator[bytes]:
    """One event, and then none."""
    try:
        yield b"data: first\n\n"
        notes[name].append("open")
        await asyncio.Event().wait()
    finally:
        notes[name].append("closed")


async def stream(request: Request) -> Response:
    return StreamingResponse(events(request.path_params["name"]))


async def followed(request: Request) -> Response:
    """What is to be done behind the stream is done without its client, too."""
    name = request.path_params["name"]
    return StreamingResponse(events(name), background=BackgroundTask(work, name))


async def sse(request: Request) -> Response:
    async def named() -> AsyncIterator[str]:
        async for _ in events(request.path_params["name"]):
            yield "first"

    return EventSourceResponse(named())


async def pays(request: Request) -> Response:
    """Works before its response, and behind it."""
    name = request.path_params["name"]
    notes[name].append("open")
    await gates[name].wait()
    notes[name].append("paid")
    return JSONResponse({}, background=BackgroundTask(work, name))


async def takes_long(request: Request) -> Response:
    """The same, told on stdout."""
    notes[request.path_params["name"]].append("open")
    await asyncio.sleep(1)
    print("paid", flush=True)
    return JSONResponse({}, background=BackgroundTask(takes_longer))


async def takes_longer() -> None:
    await asyncio.sleep(0.5)
    print("worked", flush=True)


async def work(name: str) -> None:
    await gates[name].wait()
    await asyncio.sleep(0.05)
    notes[name].append("worked")


async def passes(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    return await call_next(request)


fastapi = FastAPI()


@fastapi.get("/stream/{name}")
async def fastapi_stream(name: str) -> FastApiStream:
    return FastApiStream(events(name))


async def fastapi_events(name: str) -> AsyncIterator[str]:
    async for _ in events(name):
        yield "first"


with suppress(ImportError):  # of an older FastAPI
    from fastapi.sse import EventSourceResponse as FastApiEvents

    fastapi.get("/events/{name}", response_class=FastApiEvents)(fastapi_events)


async def bare(scope: Any, receive: Receive, send: Send) -> None:
    """Streams without asking ``receive``: idle, or without end."""
    name = scope["path"].rpartition("/")[2]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        async for piece in events(name) if "idle" in scope["path"] else ceaseless(name):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except OSError as error:
        notes[name].append(type(error).__name__)
        raise


async def ceaseless(name: str) -> AsyncIterator[bytes]:
    notes[name].append("open")
    while True:
        yield b"again\n"


async def tell(request: Request) -> Response:
    return JSONResponse(notes)


async def open_gate(request: Request) -> Response:
    gates[request.path_params["name"]].set()
    return JSONResponse({})


ROUTES = [
    Route("/stream/{name}", stream),
    Route("/followed/{name}", followed),
    Route("/sse/{name}", sse),
    Route("/pays/{name}", pays),
    Route("/takes-long/{name}", takes_long),
]
app = Starlette(
    routes=[
        Route("/notes", tell),
        Route("/open/{name}", open_gate),
        Mount("/bare", bare),
        Mount("/fastapi", fastapi),
        Mount(
            "/behind", routes=ROUTES, middleware=[Middleware(BaseHTTPMiddleware, dispatch=passes)]
        ),
        *ROUTES,
    ]
)


def tell_notes() -> bytes:
    """For an application of another framework."""
    return json.dumps(notes).encode()
