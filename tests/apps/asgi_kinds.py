"""Every way in which an ASGI application may behave, by path.

GET /notes tells what the others noted; GET /open/NAME opens the gate that they wait at. LIFESPAN
in the environment chooses how start-up goes, and the file EVENTS gets a line for each of its
stages.
"""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

notes: dict[str, Any] = {}
leaked: list[bytes] = []
gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
user: ContextVar[str] = ContextVar("user", default="nobody")

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
MIB = 1 << 20


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def answer(send: Send, data: bytes) -> None:
    await send(START)
    await send(body(data))


async def read(receive: Receive) -> bytes:
    pieces, more = [], True
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        pieces.append(message["body"])
        more = message["more_body"]
    return b"".join(pieces)


async def tell_notes(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, json.dumps(notes).encode())


async def show_scope(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, json.dumps(scope, default=lambda value: f"{value!r}").encode())


async def reads_late(scope: Scope, receive: Receive, send: Send) -> None:
    """Leaves the body alone until the gate is open."""
    await gates["reads-late"].wait()
    await answer(send, str(len(await read(receive))).encode())


async def streams(scope: Scope, receive: Receive, send: Send) -> None:
    """64 MiB, piece by piece, with a count of those that were taken."""
    await send(START)
    for number in range(64):
        notes["streams"] = number
        await send(body(bytes(MIB), more=True))
    notes["streams"] = 64
    await send(body(b""))


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Streams until send() says that there is nobody."""
    await send(START)
    try:
        while True:
            await send(body(bytes(16_000), more=True))
            await asyncio.sleep(0.001)
    except OSError as error:
        notes["endless"] = type(error).__name__
        raise


async def streams_watching(scope: Scope, receive: Receive, send: Send) -> None:
    """Streams until receive() says that the client has gone."""
    await read(receive)
    await send(START)
    gone = asyncio.ensure_future(receive())
    while not gone.done():
        await send(body(bytes(16_000), more=True))
        await asyncio.sleep(0.001)
    notes["streams-watching"] = gone.result()["type"]


async def watches(scope: Scope, receive: Receive, send: Send) -> None:
    """Waits for the client to go, before a response."""
    await read(receive)
    notes["watches"] = "waiting"
    notes["watches"] = (await receive())["type"]


async def watches_later(scope: Scope, receive: Receive, send: Send) -> None:
    """Two tasks wait for the client to go, within a response."""
    await read(receive)
    await send(START)
    await send(body(b"first", more=True))
    messages = await asyncio.gather(receive(), receive())
    notes["watches-later"] = [message["type"] for message in messages]


async def sends_from_two(scope: Scope, receive: Receive, send: Send) -> None:
    """Two tasks wait for a client that reads slowly."""

    async def many(letter: bytes) -> None:
        for _ in range(8):
            await send(body(letter * MIB, more=True))

    await send(START)
    await asyncio.gather(many(b"a"), many(b"b"))
    await send(body(b""))


async def raises(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("raised before the start")


async def raises_between(scope: Scope, receive: Receive, send: Send) -> None:
    await send({**START, "headers": [(b"x-secret", b"1")]})
    raise LookupError("raised after the start")


async def raises_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(body(b"some", more=True))
    raise LookupError("raised after some content")


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    """No response at all."""


async def returns_late(scope: Scope, receive: Receive, send: Send) -> None:
    """No end."""
    await send(START)
    await send(body(b"some", more=True))


async def short(scope: Scope, receive: Receive, send: Send) -> None:
    await send({**START, "headers": [(b"content-length", b"9")]})
    await send(body(b"12345", more=True))
    await send(body(b""))


async def long(scope: Scope, receive: Receive, send: Send) -> None:
    await send({**START, "headers": [(b"content-length", b"6")]})
    await send(body(b"12345", more=True))
    await send(body(b"67890"))


async def body_first(scope: Scope, receive: Receive, send: Send) -> None:
    await send(body(b"a"))


async def starts_twice(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(START)


async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.tea"})


async def continues(scope: Scope, receive: Receive, send: Send) -> None:
    """What comes after the response is the app's own affair, and errors there are logged."""
    await answer(send, b"done")
    notes["after"] = (await receive())["type"]
    await send(body(b"too late"))


async def cancelled(scope: Scope, receive: Receive, send: Send) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def context(scope: Scope, receive: Receive, send: Send) -> None:
    """Whom the request before this one left in the context."""
    before = user.get()
    user.set("somebody")
    await asyncio.sleep(0)
    await answer(send, before.encode())


async def state(scope: Scope, receive: Receive, send: Send) -> None:
    """The lifespan's state, and that a request's own change of it is not seen by the next."""
    found = dict(scope["state"])
    scope["state"]["mine"] = True
    await answer(send, json.dumps(found).encode())


async def holds(scope: Scope, receive: Receive, send: Send) -> None:
    """Waits for ever; ``?block`` blocks the loop."""
    notes["holds"] = "waiting"
    if scope["query_string"] == b"block":
        import time

        time.sleep(3600)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        notes["holds"] = "cancelled"
        raise


async def leaks(scope: Scope, receive: Receive, send: Send) -> None:
    """4 MiB for ever."""
    leaked.append(os.urandom(4 * MIB))
    await answer(send, str(os.getpid()).encode())


async def spoils(scope: Scope, receive: Receive, send: Send) -> None:
    """Changes whatever can be changed in its scope, once it has told what it was given."""
    found = json.dumps(scope, default=lambda value: f"{value!r}").encode()
    for name in ("asgi", "extensions", "state"):
        scope[name]["spoilt"] = name
        scope[name]["version"] = "9"
    scope["headers"].append((b"x-spoilt", b"1"))
    scope["client"] = scope["server"] = scope["path"] = None
    await answer(send, found)


async def follows(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends before and after receive() has told that the client closed its half."""
    await send(START)
    await send(body(b"one", more=True))
    await gates["follows"].wait()
    await send(body(b"two", more=True))
    assert (await receive())["type"] == "http.request"
    notes["follows"] = (await receive())["type"]
    await send(body(b"three", more=True))
    await send(body(b"four"))
    notes["followed"] = True


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(float(scope["query_string"]))
    await answer(send, str(os.getpid()).encode())


ROUTES: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
    "/notes": tell_notes,
    "/scope": show_scope,
    "/reads-late": reads_late,
    "/streams": streams,
    "/endless": endless,
    "/streams-watching": streams_watching,
    "/watches": watches,
    "/watches-later": watches_later,
    "/sends-from-two": sends_from_two,
    "/raises": raises,
    "/raises-between": raises_between,
    "/raises-late": raises_late,
    "/returns": returns,
    "/returns-late": returns_late,
    "/short": short,
    "/long": long,
    "/body-first": body_first,
    "/starts-twice": starts_twice,
    "/unknown": unknown,
    "/continues": continues,
    "/cancelled": cancelled,
    "/context": context,
    "/state": state,
    "/holds": holds,
    "/leaks": leaks,
    "/slow": slow,
    "/spoils": spoils,
    "/follows": follows,
}


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """/ws echoes, /ws/NUMBER closes with that code, anything else is rejected."""
    assert (await receive())["type"] == "websocket.connect"
    path = scope["path"].removeprefix("/ws")
    if path == scope["path"]:
        await send({"type": "websocket.close"})
        return
    wanted = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": wanted[-1] if wanted else None})
    if path:
        await send({"type": "websocket.close", "code": int(path[1:]), "reason": "as you wish"})
        return
    while (message := await receive())["type"] == "websocket.receive":
        kind = "text" if message.get("text") is not None else "bytes"
        await send({"type": "websocket.send", kind: message[kind]})
    notes["websocket"] = message["code"]


def event(text: str) -> None:
    """Put a line into the file of events."""
    with open(os.environ["EVENTS"], "a") as file:
        file.write(f"{text} {os.getpid()}\n")


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    wanted = os.environ.get("LIFESPAN", "")
    if wanted == "unsupported":
        raise AssertionError("only http here")
    await receive()
    if wanted == "raises":
        raise LookupError("no database")
    if wanted == "fails":
        await send({"type": "lifespan.startup.failed", "message": "no database, sorry"})
        return
    scope["state"]["pid"] = os.getpid()
    if "EVENTS" in os.environ:
        event("startup")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    if "EVENTS" in os.environ:
        event("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


class double:
    """An application of ASGI 2."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        if self.scope["type"] == "http":
            await show_scope(self.scope, receive, send)
        elif self.scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": json.dumps(self.scope["asgi"])})
            await send({"type": "websocket.close"})
        else:
            notes["lifespan"] = self.scope["asgi"]
            raise AssertionError("only http here")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The application."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    elif scope["path"].startswith("/open/"):
        gates[scope["path"].removeprefix("/open/")].set()
        await answer(send, b"")
    else:
        path = scope["path"].removeprefix(scope["root_path"])
        await ROUTES[path](scope, receive, send)
