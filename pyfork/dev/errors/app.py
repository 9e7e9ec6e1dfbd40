"""The application that stands in for one that does not load: it says why.

    text/html          for a browser: see `page`
    application/json   for a client that asks for it
    text/plain         for everybody else

A host name that is not the developer's own (`hosts`) gets neither source nor messages nor paths.

Rules: only where --reload is asked for; changes nothing, and remembers nothing of its clients.
"""

import json
import os
import secrets
from collections.abc import Collection, MutableMapping
from typing import Any

from pyfork.dev.errors import page as error_page
from pyfork.dev.errors.accept import preferred
from pyfork.dev.errors.hosts import host_of, is_developers
from pyfork.dev.errors.report import ErrorInfo, ErrorReport, Frame
from pyfork.record import asdict, record

HEADER = "Pyfork-Fault"  # by its absence the page knows that the application is back
OFFERED = ("text/html", "application/json", "text/plain")

Scope = MutableMapping[str, Any]


class ErrorApp:
    """An ASGI application that answers every request with status 500.

    Args:
        hosts: names under which it shows source code, besides localhost and addresses.
    """

    def __init__(self, fault: ErrorReport, hosts: Collection[str] = ()) -> None:
        self._fault = fault
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1011})
        elif scope["type"] == "http":
            await self._answer(scope, send)

    async def _answer(self, scope: Scope, send: Any) -> None:
        host = host_of(_field(scope, b"host"))
        fault = self._fault if is_developers(host, self._hosts) else withheld(self._fault, host)
        await answer(fault, _field(scope, b"accept"), scope["method"]).send(send)


@record
class Answer:
    """A response with status 500, whole."""

    headers: tuple[tuple[str, str], ...]
    body: bytes

    def start(self, start_response: Any, exc_info: Any) -> list[bytes]:
        """Give it to a WSGI server."""
        start_response("500 Internal Server Error", list(self.headers), exc_info)
        return [self.body]

    async def send(self, send: Any) -> None:
        """Give it to an ASGI server."""
        encoded = [(name.lower().encode(), text.encode()) for name, text in self.headers]
        await send({"type": "http.response.start", "status": 500, "headers": encoded})
        await send({"type": "http.response.body", "body": self.body})


def answer(fault: ErrorReport, accept: str, method: str) -> Answer:
    """Return the answer for a client that accepts ``accept``."""
    kind = preferred(accept, OFFERED)
    nonce = secrets.token_urlsafe(16)
    body = _body(fault, kind, method, nonce).encode("utf-8", "backslashreplace")
    headers = {
        "Content-Type": f"{kind}; charset=utf-8" if kind != "application/json" else kind,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Vary": "Accept, Host",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": error_page.policy(nonce),
    }
    if fault.request is None:
        headers[HEADER] = fault.id
    return Answer(tuple(headers.items()), body)


def _field(scope: Scope, wanted: bytes) -> str:
    return b",".join(value for name, value in scope["headers"] if name == wanted).decode("latin-1")


def _body(fault: ErrorReport, kind: str, method: str, nonce: str) -> str:
    if kind == "text/html":
        return error_page.render(fault, method=method, nonce=nonce, header=HEADER)
    if kind == "application/json":
        return json.dumps({"error": _WHAT[fault.request is not None]} | as_data(fault))
    return as_text(fault)


_WHAT = ("the application does not load", "the application failed")


def withheld(fault: ErrorReport, host: str) -> ErrorReport:
    """The part that any client may see: the kind of the error."""
    kind = fault.chain[0].kind if fault.chain else ""
    chain = (ErrorInfo(kind, "", ()),) if kind else ()
    reason = f"{kind}: the rest" if kind else "The reason"
    reason += " is shown at localhost and at literal addresses only"
    if host:
        reason += f"; --reload-host {host} shows it here too"
    return ErrorReport(os.path.basename(fault.app), f"{reason}.", chain, "")


def as_data(fault: ErrorReport) -> dict[str, Any]:
    """Plain values, for JSON."""
    chain = [
        {"type": each.kind, "message": each.message, "frames": [_frame(f) for f in each.frames]}
        for each in fault.chain
    ]
    return {
        "app": fault.app,
        "reason": fault.reason,
        "exceptions": chain,
        "traceback": fault.traceback,
    }


def _frame(frame: Frame) -> dict[str, Any]:
    """Without variables: programs that test an application keep what they are answered."""
    shown = asdict(frame)
    return {name: shown[name] for name in ("path", "line", "function", "source")}


def as_text(fault: ErrorReport) -> str:
    """For a terminal."""
    parts = [f"500: {_WHAT[fault.request is not None]}\n\n{fault.reason}\n"]
    if fault.traceback:
        parts.append(fault.traceback + "\n")
    if fault.request is None:
        parts.append("Mend it and save: pyfork loads it again.\n")
    return "\n".join(parts)
