"""The error page for an exception in a request.

Around the application in development, it answers in the place of what a framework answers by
itself ("Internal Server Error"). An answer that the application makes for its errors stays, and so
does the debug page of a framework. A host name that is not the developer's gets neither.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from pyfork.dev.errors.app import Answer, answer
from pyfork.dev.errors.hosts import host_of, is_developers
from pyfork.dev.errors.report import ErrorReport
from pyfork.dev.errors.request_info import RequestInfo
from pyfork.loader.load import App

log = logging.getLogger("pyfork.error")

_LARGEST = 4096  # bytes; an answer that a framework makes by itself is shorter
_PLAIN = (  # what frameworks answer without a handler of the application's
    b"<title>500 Internal Server Error</title>",
    b"<title>Server Error (500)</title>",
)
_raised: ContextVar[list[BaseException] | None] = ContextVar("pyfork_raised", default=None)


def with_error_pages(app: App, hosts: Iterable[str], editor: str) -> App:
    """``app``, and around it the page.

    Args:
        hosts: names under which source is shown, besides localhost and addresses.
        editor: the URL for links to an editor; see `pyfork.dev.errors.editor`.
    """
    _listen()
    pages = _Pages(tuple(hosts), editor)
    wrapper = WsgiErrorPages if app.interface == "wsgi" else AsgiErrorPages
    return App(wrapper(app.callable, pages), app.interface, app.links)


class _Pages:
    """Makes answers out of exceptions."""

    def __init__(self, hosts: tuple[str, ...], editor: str) -> None:
        self._hosts = hosts
        self._editor = editor

    def of(self, error: BaseException, request: RequestInfo) -> Answer | None:
        """The answer, for a host name that is the developer's."""
        if not is_developers(host_of(request.field("host")), self._hosts):
            return None
        report = ErrorReport.of_request(error, request, self._editor)
        return answer(report, request.field("accept"), request.method)


def _listen() -> None:
    """Hear of exceptions that a framework catches."""
    if "flask" in sys.modules:
        import_module("flask").got_request_exception.connect(_note_flask)
    if "django" in sys.modules:
        import_module("django.core.signals").got_request_exception.connect(_note, weak=False)


def _note_flask(sender: object, exception: BaseException, **more: object) -> None:
    _note(exception=exception)


def _note(*args: object, exception: BaseException | None = None, **more: object) -> None:
    seen, error = _raised.get(), exception or sys.exception()
    if seen is not None and error is not None:
        seen.append(error)


def _is_plain(body: bytes) -> bool:
    return body.strip() == b"Internal Server Error" or any(each in body for each in _PLAIN)


class WsgiErrorPages:
    """Around a WSGI application (PEP 3333)."""

    def __init__(self, app: Callable[..., Iterable[bytes]], pages: _Pages) -> None:
        self._app = app
        self._pages = pages

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request. One that takes the socket over, for a WebSocket, goes through."""
        if "HTTP_UPGRADE" in environ:
            return self._app(environ, start_response)
        seen: list[BaseException] = []
        token = _raised.set(seen)
        held: list[Any] = []
        writers: list[Callable[[bytes], object]] = []
        request = RequestInfo.of_environ(environ)

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            if not status.startswith("500") or held:
                return start_response(status, headers, exc_info)
            held[:] = status, headers, exc_info
            return write

        def write(data: bytes) -> None:
            if held:  # what is written cannot be replaced any more
                writers.append(start_response(*held))
                held.clear()
            writers[0](data)

        try:
            result = self._app(environ, start)
        except Exception as error:
            page = self._pages.of(error, request)
            if page is None:
                raise
            _log(request)
            return page.start(start_response, sys.exc_info())
        finally:
            _raised.reset(token)
        if not held:
            if isinstance(result, (list, tuple, environ.get("wsgi.file_wrapper", tuple))):
                return result
            return self._watched(result, request, start_response)
        body = _joined(result)
        page = self._pages.of(seen[-1], request) if seen and _is_plain(body) else None
        if page is not None:
            return page.start(start_response, None)
        start_response(*held)
        return [body]

    def _watched(
        self, result: Iterable[bytes], request: RequestInfo, start_response: Any
    ) -> Iterator[bytes]:
        """The pieces of ``result``; in the place of the first one, the page."""
        begun = False
        try:
            for piece in result:
                yield piece
                begun = begun or bool(piece)
        except Exception as error:
            page = None if begun else self._pages.of(error, request)
            if page is None:
                raise
            _log(request)
            yield from page.start(start_response, sys.exc_info())
        finally:
            if close := getattr(result, "close", None):
                close()


def _joined(result: Iterable[bytes]) -> bytes:
    try:
        return b"".join(result)
    finally:
        if close := getattr(result, "close", None):
            close()


def _log(request: RequestInfo) -> None:
    log.exception("error in the application at %s %s", request.method, request.path)


class AsgiErrorPages:
    """Around an ASGI application."""

    def __init__(self, app: Callable[..., Any], pages: _Pages) -> None:
        self.app = app
        self._pages = pages

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request; everything else goes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen: list[BaseException] = []
        token = _raised.set(seen)
        outgoing = _Held(send)
        try:
            await self.app(scope, receive, outgoing.send)
        except Exception as error:
            request = RequestInfo.of_scope(scope)
            page = self._pages.of(error, request) if outgoing.replaceable else None
            if page is None:
                await outgoing.release()
                raise
            _log(request)
            await page.send(send)
        else:
            page = None
            if seen and outgoing.messages and outgoing.replaceable:
                page = self._pages.of(seen[-1], RequestInfo.of_scope(scope))
            await (page.send(send) if page else outgoing.release())
        finally:
            _raised.reset(token)


class _Held:
    """The messages of a response with status 500, as long as they may be replaced."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self._passing = False  # something has been sent
        self.messages: list[Any] = []

    @property
    def replaceable(self) -> bool:
        """Whether nothing has been sent, and what waits is no answer of the application's own."""
        if self._passing:
            return False
        return not self.messages or _is_plain(self._body)

    @property
    def _body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.messages)

    async def send(self, message: Any) -> None:
        """Send, or hold."""
        starts = message["type"] == "http.response.start" and message["status"] == 500
        if self._passing or not (starts or self.messages):
            self._passing = True
            await self._send(message)
            return
        self.messages.append(message)
        if len(self._body) > _LARGEST:
            await self.release()

    async def release(self) -> None:
        """Send what is held."""
        self._passing = True
        held, self.messages = self.messages, []
        for message in held:
            await self._send(message)
