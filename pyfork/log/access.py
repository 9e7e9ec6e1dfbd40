"""The access log: one line for each request, as text in gunicorn's format or as JSON."""

import logging
import os
from collections.abc import Callable
from time import monotonic

from pyfork.config.config import SETTINGS, Config
from pyfork.log.access_format import Access, Clock, compile_format, header
from pyfork.log.setup import ACCESS, current_identity
from pyfork.log.sink import SinkHandler
from pyfork.system.environment import wants_colour

__all__ = ["Access", "AccessLog"]


# A turn of the loop may be long, and the process may end in it: at most so many lines wait, and no
# line waits for another request that is answered later than this many seconds after it.
MOST = 64
LONGEST = 0.01


class AccessLog:
    """Writes entries. Made in the worker, after `setup.configure` and `setup.identify`."""

    def __init__(
        self, render: Callable[[Access], str], emit: Callable[[str], None], *, together: bool
    ) -> None:
        """``together``: ``emit`` takes several lines at once."""
        self._render = render
        self._emit = emit
        self._together = together
        self._lines: list[str] = []
        self._since = 0.0  # monotonic seconds
        # Calls `flush` at the end of a turn; lines leave in one write then.
        self.later: Callable[[Callable[[], object]], object] | None = None

    @classmethod
    def from_config(cls, config: Config) -> "AccessLog | None":
        """Return the configured access log, or None.

        Raises:
            ConfigError: the format is invalid.
        """
        logger = logging.getLogger(ACCESS)
        if not logger.isEnabledFor(logging.INFO) or not logger.hasHandlers():
            return None
        render = _renderer(config)
        match logger.handlers:
            case [SinkHandler(sink=sink)] if not logger.propagate:
                return cls(render, sink.write, together=True)
        return cls(render, logger.info, together=False)

    def write(self, entry: Access) -> None:
        """Log one request."""
        line = self._render(entry)
        if self.later is None or not self._together:
            self._emit(line)
            return
        lines = self._lines
        lines.append(line)
        if len(lines) == 1:
            self._since = monotonic()
            self.later(self.flush)
        elif len(lines) >= MOST or monotonic() - self._since > LONGEST:
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait for the end of the loop iteration."""
        if self._lines:
            text = "\n".join(self._lines)
            self._lines.clear()
            self._emit(text)


def _renderer(config: Config) -> Callable[[Access], str]:
    """Return the formatter of lines: on a developer's terminal one for a person."""
    form = config.access_logformat
    own = form == SETTINGS["access_logformat"].default
    if config.reload and own and config.access_logfile == "-" and os.isatty(1):
        from pyfork.log.terminal import request_line

        return request_line(colour=wants_colour(1), stream=1)
    if form == "json":
        return json_renderer(config.request_id or "X-Request-Id")
    if own and config.request_id:
        form += f' "%({{{config.request_id}}}o)s" "%({{traceparent}}i)s"'
    return compile_format(form)


def json_renderer(request_id: str = "X-Request-Id") -> Callable[[Access], str]:
    """Return a function that renders an `Access` as one JSON object.

    Keys are fixed, null means missing. ``request_id`` is the field that has the id of a request.
    """
    from json import JSONEncoder

    encode = JSONEncoder(separators=(",", ":")).encode  # it escapes everything that is not ASCII
    field = request_id.lower().encode()
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
                "queue_time": None if access.queue_time is None else round(access.queue_time, 6),
                "referer": header(got, b"referer"),
                "user_agent": header(got, b"user-agent"),
                "request_id": header(sent, field) or header(got, field),
                "traceparent": header(got, b"traceparent"),
                "worker": slot,
                "pid": os.getpid(),
            }
        )

    return render
