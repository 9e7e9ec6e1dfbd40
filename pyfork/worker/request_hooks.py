"""pre_request and post_request: wrappers around an application, only if these hooks exist.

pre_request runs in the application's thread and context; its exceptions are answered with 500.
post_request runs in the loop after the response, and its exceptions are logged.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from pyfork.hooks.call import call, call_and_log
from pyfork.hooks.objects import HookWorker, config_of
from pyfork.hooks.requests import HookRequest, HookResponse
from pyfork.http.connection.connection import Connection
from pyfork.http.connection.engine import Engine
from pyfork.log.access import Access, AccessLog

_KEY = "pyfork.request"  # in the environ: the request that pre_request got, for post_request

Message = dict[str, Any]


def wrap_wsgi(
    app: Callable[..., Iterable[bytes]], worker: HookWorker
) -> Callable[..., Iterable[bytes]]:
    """Wrap ``app`` in pre_request; `PostRequestLog` calls post_request."""
    config = config_of(worker)

    def hooked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = environ[_KEY] = HookRequest.of_environ(environ)
        call(config, "pre_request", worker, request)
        return app(environ, start_response)

    return hooked


def wrap_asgi(
    app: Callable[..., Awaitable[None]], worker: HookWorker
) -> Callable[..., Awaitable[None]]:
    """Wrap ``app`` in pre_request and post_request."""
    config = config_of(worker)

    async def hooked(
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        request = HookRequest.of_scope(scope)
        status, headers = 0, []
        sent = 0

        async def watched(message: Message) -> None:
            nonlocal status, headers, sent
            await send(message)
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message.get("headers", ()))
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))

        call(config, "pre_request", worker, request)
        try:
            return await app(scope, receive, watched)
        finally:
            call_post_request(worker, request, {}, HookResponse(status, headers, sent))

    return hooked


class PostRequestLog:
    """Stands in for the access log, which gets each complete response."""

    def __init__(self, access: AccessLog | None, worker: HookWorker) -> None:
        self._access = access
        self._worker = worker

    def write(self, record: Access) -> None:
        """Call post_request, then the access log."""
        if self._access is not None:
            self._access.write(record)
        environ = record.environ or {}
        request = environ.get(_KEY)
        if isinstance(request, HookRequest):  # else the request never reached the application
            response = HookResponse(record.status, record.response_headers, record.length)
            call_post_request(self._worker, request, environ, response)


def install(engine: Engine[Connection], worker: HookWorker) -> None:
    """Call post_request for each response of ``engine`` to a request of `wrap_wsgi`."""
    engine.access = PostRequestLog(engine.access, worker)  # type: ignore[assignment]


def call_post_request(
    worker: HookWorker, request: HookRequest, environ: Mapping[str, object], response: HookResponse
) -> None:
    """Call post_request, if it is configured."""
    call_and_log(config_of(worker), "post_request", worker, request, environ, response)
