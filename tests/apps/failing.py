"""An ASGI application that raises what /KIND/WHEN says, or LIFESPAN=KIND/STAGE in its lifespan."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]


class Panic(BaseException):
    """As an extension in Rust raises it."""


KINDS: dict[str, Callable[[], BaseException]] = {
    "error": lambda: LookupError("on purpose"),
    "panic": lambda: Panic("on purpose"),
    "exit": lambda: SystemExit("on purpose"),
    "interrupt": lambda: KeyboardInterrupt("on purpose"),
    "generator-exit": lambda: GeneratorExit("on purpose"),
    "cancelled": lambda: asyncio.CancelledError("on purpose"),
    "group": lambda: BaseExceptionGroup("on purpose", [Panic("on purpose")]),
}


def fail(kind: str) -> None:
    raise KINDS[kind]()


async def fail_later(kind: str) -> None:
    await asyncio.sleep(0)
    fail(kind)


async def start(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-secret", b"1")]})


async def content(send: Send, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": b"some", "more_body": more})


async def answer(kind: str, when: str, receive: Receive, send: Send) -> None:
    match when:
        case "before":
            fail(kind)
        case "soon":
            await fail_later(kind)
        case "between":
            await start(send)
            fail(kind)
        case "amid":
            await start(send)
            await content(send, more=True)
            await fail_later(kind)
        case "child":
            await asyncio.create_task(fail_later(kind))
        case "forgotten":
            asyncio.create_task(fail_later(kind))  # noqa: RUF006 - as it happens
            await asyncio.sleep(0.05)
        case "callback":
            asyncio.get_running_loop().call_soon(fail, kind)
            await asyncio.sleep(0.05)
    await start(send)
    await content(send, more=False)
    if when == "behind":
        await fail_later(kind)


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    kind, _, when = os.environ.get("LIFESPAN", "").partition("/")
    for stage in ("startup", "shutdown"):
        await receive()
        if when == stage:
            fail(kind)
        if when == f"{stage}-child":
            await asyncio.create_task(fail_later(kind))
        await send({"type": f"lifespan.{stage}.complete"})


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The application."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["path"] == "/":
        await start(send)
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
    else:
        kind, _, when = scope["path"].strip("/").partition("/")
        print("called", kind, when, file=sys.stdout, flush=True)
        await answer(kind, when, receive, send)
