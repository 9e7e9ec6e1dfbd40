"""pre_request and post_request: what is laid around an application that has them, and only then.

pre_request runs where the application runs, in its thread and its context; what it raises is the
application's failure, answered with 500. post_request runs in the loop, when the response has
left, and is logged if it fails. An application without these hooks is not wrapped at all.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from pyfork.hooks.call import call, call_and_log
from pyfork.hooks.objects import HookWorker, config_of
from pyfork.hooks.requests import HookRequest, HookResponse
from pyfork.http.connection.engine import Engine
from pyfork.log.access import Access, AccessLog

_KEY = "pyfork.request"  # in the environ: what pre_request has seen, for post_request

Message = dict[str, Any]


def wrap_wsgi(
    app: Callable[..., Iterable[bytes]], worker: HookWorker
) -> Callable[..., Iterable[bytes]]:
    """``app`` behind pre_request; `PostRequestLog` sees to post_request."""
    config = config_of(worker)

    def hooked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = environ[_KEY] = HookRequest.of_environ(environ)
        call(config, "pre_request", worker, request)
        return app(environ, start_response)

    return hooked


def wrap_asgi(
    app: Callable[..., Awaitable[None]], worker: HookWorker
) -> Callable[..., Awaitable[None]]:
    """``app`` between pre_request and post_request."""
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
    """Stands where the access log does, and hears of each response that has left."""

    def __init__(self, access: AccessLog | None, worker: HookWorker) -> None:
        self._access = access
        self._worker = worker

    def write(self, record: Access) -> None:
        """A request was answered."""
        if self._access is not None:
            self._access.write(record)
        environ = record.environ or {}
        request = environ.get(_KEY)
        if isinstance(request, HookRequest):  # else it never came to the application
            response = HookResponse(record.status, record.response_headers, record.length)
            call_post_request(self._worker, request, environ, response)


def install(engine: Engine, worker: HookWorker) -> None:
    """Call post_request for each response of ``engine`` to what `wrap_wsgi` has let through."""
    engine.access = PostRequestLog(engine.access, worker)  # type: ignore[assignment]


def call_post_request(
    worker: HookWorker, request: HookRequest, environ: Mapping[str, object], response: HookResponse
) -> None:
    """Call post_request, if there is one."""
    call_and_log(config_of(worker), "post_request", worker, request, environ, response)
