"""Calls an application before workers are forked from the process that has imported it.

What the first request imports, compiles and caches is then in memory that all workers share.
"""

import importlib
from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults

from pyfork.errors import BootError
from pyfork.loader import tracebacks
from pyfork.loader.load import App


def warm_up(app: App, target: str) -> None:
    """Request a path of a WSGI application, or call a function.

    Args:
        app: the application.
        target: a path with an optional query, or ``module:function``.

    Raises:
        BootError: it raised, or its response has a status of 500 or above.
    """
    try:
        if not target.startswith("/"):
            _call(target)
            return
        if app.interface != "wsgi":
            raise BootError(
                f"--warmup {target}: an event loop does not survive a fork, so an ASGI application "
                "cannot be requested; name a function: --warmup module:function"
            )
        status = _request(app, target)
    except BootError:
        raise
    except BaseException as error:
        text = f"--warmup {target}: {tracebacks.one_line(error)}"
        raise BootError(text, tracebacks.app_traceback(error)) from error
    if status >= "5":
        raise BootError(f"--warmup {target}: the application answers {status}")


def _call(target: str) -> None:
    module, _, name = target.partition(":")
    if not name:
        raise BootError(f"--warmup {target}: it must be /path or module:function")
    getattr(importlib.import_module(module), name)()


def _request(app: App, target: str) -> str:
    """GET ``target``; returns the status line."""
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "wsgi.input": BytesIO(),
    }
    setup_testing_defaults(environ)
    found: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        found[:] = [status]
        return lambda data: None

    body = app.callable(environ, start_response)
    try:
        for _ in body:
            pass
    finally:
        if (close := getattr(body, "close", None)) is not None:
            close()
    return found[0]
