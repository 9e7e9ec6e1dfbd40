"""The application that stands in for one that does not load: it says why.

    text/html          for a browser: see `page`
    application/json   for a client that asks for it
    text/plain         for everybody else

Rules: only where --reload is asked for; changes nothing, and remembers nothing of its clients.
"""

import json
import secrets
from collections.abc import MutableMapping
from typing import Any

from pyfork.dev import page
from pyfork.dev.accept import preferred
from pyfork.dev.fault import Fault
from pyfork.record import asdict

HEADER = "Pyfork-Fault"  # by its absence the page knows that the application is back
OFFERED = ("text/html", "application/json", "text/plain")

Scope = MutableMapping[str, Any]


class Broken:
    """An ASGI application that answers every request with status 500."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1011})
        elif scope["type"] == "http":
            await self._answer(scope, send)

    async def _answer(self, scope: Scope, send: Any) -> None:
        accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
        kind = preferred(accept.decode("latin-1"), OFFERED)
        nonce = secrets.token_urlsafe(16)
        body = self._body(kind, scope["method"], nonce).encode("utf-8", "backslashreplace")
        headers = {
            "Content-Type": f"{kind}; charset=utf-8" if kind != "application/json" else kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Vary": "Accept",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": page.policy(nonce),
            HEADER: self._fault.id,
        }
        encoded = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
        await send({"type": "http.response.start", "status": 500, "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    def _body(self, kind: str, method: str, nonce: str) -> str:
        if kind == "text/html":
            return page.render(self._fault, method=method, nonce=nonce, header=HEADER)
        if kind == "application/json":
            return json.dumps({"error": "the application does not load"} | as_data(self._fault))
        return as_text(self._fault)


def as_data(fault: Fault) -> dict[str, Any]:
    """Plain values, for JSON."""
    chain = [
        {"type": each.kind, "message": each.message, "frames": [asdict(f) for f in each.frames]}
        for each in fault.chain
    ]
    return {
        "app": fault.app,
        "reason": fault.reason,
        "exceptions": chain,
        "traceback": fault.traceback,
    }


def as_text(fault: Fault) -> str:
    """For a terminal."""
    parts = [f"500: the application does not load\n\n{fault.reason}\n"]
    if fault.traceback:
        parts.append(fault.traceback + "\n")
    parts.append("Mend it and save: pyfork loads it again.\n")
    return "\n".join(parts)
