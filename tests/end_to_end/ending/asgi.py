"""An ASGI application that notes what happens at its end, in the order in which it does."""

import asyncio
import atexit
import multiprocessing
import signal
import threading
import time
from typing import Any

_STARTED: list[asyncio.Task[None]] = []


def note(*what: object) -> None:
    with open("notes", "a") as file:
        file.write(" ".join(map(str, what)) + "\n")


atexit.register(note, "exit function")


async def forever() -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        note("task cancelled")


def on_term() -> None:
    note("SIGTERM", threading.current_thread() is threading.main_thread())


def sleep() -> None:
    time.sleep(60)


def job() -> None:
    time.sleep(0.2)
    note("job")


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, on_term)
        _STARTED.append(asyncio.create_task(forever()))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        note("lifespan shutdown")
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/job":
        asyncio.get_running_loop().run_in_executor(None, job)
    if scope["path"] == "/child":
        multiprocessing.get_context("fork").Process(target=sleep, daemon=True).start()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
