"""The access log: one line a request, as text in gunicorn's format or as JSON."""

import logging
import os
from collections.abc import Callable

from pyfork.config.settings import Config
from pyfork.log.atoms import Access, Clock, compile_format, header
from pyfork.log.setup import ACCESS, current_identity
from pyfork.log.sink import SinkHandler

__all__ = ["Access", "AccessLog"]


class AccessLog:
    """Writes entries. Made in the worker, after `setup.configure` and `setup.identify`."""

    def __init__(self, render: Callable[[Access], str], emit: Callable[[str], None]) -> None:
        self._render = render
        self._emit = emit

    @classmethod
    def from_config(cls, config: Config) -> "AccessLog | None":
        """The access log that was asked for, or None.

        Raises:
            ConfigError: the format is not understood.
        """
        logger = logging.getLogger(ACCESS)
        if not logger.isEnabledFor(logging.INFO) or not logger.hasHandlers():
            return None
        json = config.access_logformat == "json"
        return cls(
            json_renderer() if json else compile_format(config.access_logformat), _emitter(logger)
        )

    def write(self, entry: Access) -> None:
        """Log one request. Costs a few microseconds, the write included."""
        self._emit(self._render(entry))


def json_renderer() -> Callable[[Access], str]:
    """A function from `Access` to one JSON object; its keys never change, null means missing."""
    from json import JSONEncoder

    encode = JSONEncoder(separators=(",", ":")).encode  # escapes all that is not ASCII
    clock, slot = Clock("%Y-%m-%dT%H:%M:%S%z"), current_identity().slot

    def render(access: Access) -> str:
        sent, got = access.response_headers, access.request_headers
        return encode(
            {
                "time": clock(),
                "client": access.client or None,
                "method": access.method,
                "target": access.target,
                "version": access.version,
                "status": access.status,
                "length": access.length,
                "elapsed": round(access.elapsed, 6),
                "referer": header(got, b"referer"),
                "user_agent": header(got, b"user-agent"),
                "request_id": header(sent, b"x-request-id") or header(got, b"x-request-id"),
                "worker": slot,
                "pid": os.getpid(),
            }
        )

    return render


def _emitter(logger: logging.Logger) -> Callable[[str], None]:
    """The short way into our own sink; the logging package's own if there is any other handler."""
    match logger.handlers:
        case [SinkHandler(sink=sink)] if not logger.propagate:
            return sink.write
    return logger.info
