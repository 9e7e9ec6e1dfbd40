"""The script of live reload, and its place in the application's HTML answers.

A script element is added behind the document, where browsers run it too. Encoded answers, parts
(206) and answers to HEAD stay as they are.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pyfork.loader.load import App

STREAM_PATH = b"/__pyfork__/live"
SCRIPT_PATH = b"/__pyfork__/live.js"
ELEMENT = f'<script src="{SCRIPT_PATH.decode()}" async></script>\n'.encode()

SCRIPT = b"""\
let at = null;
function connect() {
  const events = new EventSource("/__pyfork__/live");
  events.addEventListener("at", (event) => {
    if (at !== null && at !== event.data) location.reload();
    at = event.data;
  });
  events.addEventListener("page", () => location.reload());
  events.addEventListener("css", () => {
    for (const old of document.querySelectorAll('link[rel~="stylesheet"]')) {
      const url = new URL(old.href);
      if (url.origin !== location.origin) continue;
      url.searchParams.set("pyfork", Date.now());
      const fresh = old.cloneNode();
      fresh.href = url.href;
      fresh.addEventListener("load", () => old.remove());
      old.after(fresh);
    }
  });
  events.onerror = async () => {
    if (events.readyState !== EventSource.CLOSED) return;
    try {
      const answer = await fetch("/__pyfork__/live", {method: "HEAD", cache: "no-store"});
      if (answer.headers.has("Pyfork-Fault")) location.reload();
    } catch {}
    setTimeout(connect, 500);
  };
}
connect();
"""


def with_live_script(app: App) -> App:
    """``app``, and around it what adds the script."""
    wrapper = WsgiLiveScript if app.interface == "wsgi" else AsgiLiveScript
    return App(wrapper(app.callable), app.interface, app.links)


def _extended(status: int, headers: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]] | None:
    """The header fields of an answer to which the script is added; None for any other."""
    fields = []
    html = False
    for name, value in headers:
        text = (name if isinstance(name, str) else name.decode("latin-1")).lower()
        if text in ("content-encoding", "etag", "content-md5"):
            return None
        if text == "content-type":
            kind = value if isinstance(value, str) else value.decode("latin-1")
            html = kind.lower().startswith("text/html")
        if text == "content-length":
            longer = str(int(value) + len(ELEMENT))
            value = longer if isinstance(value, str) else longer.encode()
        fields.append((name, value))
    return fields if html and status not in (204, 206, 304) else None


class WsgiLiveScript:
    """Around a WSGI application."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request. One that takes the socket over, for a WebSocket, goes through."""
        if environ["REQUEST_METHOD"] == "HEAD" or "HTTP_UPGRADE" in environ:
            return self.app(environ, start_response)
        added: list[bool] = []

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            fields = _extended(int(status[:3]), headers)
            added[:] = [fields is not None]
            return start_response(status, headers if fields is None else fields, exc_info)

        result = self.app(environ, start)
        if added == [False]:
            return result
        return self._pieces(result, added)

    def _pieces(self, result: Iterable[bytes], added: list[bool]) -> Iterator[bytes]:
        try:
            yield from result
            if added == [True]:
                yield ELEMENT
        finally:
            if close := getattr(result, "close", None):
                close()


class AsgiLiveScript:
    """Around an ASGI application."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request; everything else goes through."""
        if scope["type"] != "http" or scope["method"] == "HEAD":
            await self.app(scope, receive, send)
            return
        added = False

        async def extended(message: Any) -> None:
            nonlocal added
            if message["type"] == "http.response.start":
                fields = _extended(message["status"], message.get("headers", ()))
                added = fields is not None
                message = {**message, "headers": fields} if added else message
            elif added and not message.get("more_body", False):
                message = {**message, "body": message.get("body", b"") + ELEMENT}
            await send(message)

        await self.app(scope, receive, extended)
