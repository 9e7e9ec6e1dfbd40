"""Applications that are watched by what was started around pyfork."""

from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import trace


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    with trace.get_tracer("shop").start_as_current_span(environ["PATH_INFO"]):
        start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    with trace.get_tracer("shop").start_as_current_span(scope["path"]):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
