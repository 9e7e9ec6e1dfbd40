"""Who the application believes its client to be, in WSGI and ASGI; then it claims another one.

stdout has the client's address as uvicorn's access log has it.
"""

import json
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

_uvicorn = logging.getLogger("uvicorn.access")
_uvicorn.setLevel(logging.INFO)
_uvicorn.addHandler(logging.StreamHandler(sys.stdout))
_uvicorn.addFilter(lambda record: not setattr(record, "msg", "uvicorn says: " + record.msg))


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    found = [environ["REMOTE_ADDR"], environ.get("REMOTE_PORT"), environ["wsgi.url_scheme"]]
    environ["REMOTE_ADDR"] = "198.51.100.66"
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        return
    found = json.dumps([*scope["client"], scope["scheme"]])
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": found})
        await send({"type": "websocket.close"})
        return
    scope["client"] = None
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": found.encode()})
