"""An ASGI application that works on after its response, and writes $AFTERWARDS then."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"sent"})
    await asyncio.sleep(0.5)
    Path(os.environ["AFTERWARDS"]).write_text("done")
