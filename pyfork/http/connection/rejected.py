"""A request that was rejected before it was read, for the access log."""

from typing import TYPE_CHECKING, Any

from pyfork.errors import ProtocolError

if TYPE_CHECKING:
    from pyfork.http.request.head import Fields, RequestLine


class _NoCache:
    """Stands in for a request line, a block of fields or a head."""

    log_cache: Any = None


class RejectedRequest:
    """Implements `log.access_format.Access`; unread parts are "-"."""

    method = target = "-"
    version = "1.1"
    elapsed = 0.0
    queue_time: float | None = None
    environ: object = None

    def __init__(
        self, client: str, scheme: str, error: ProtocolError, line: "RequestLine | None"
    ) -> None:
        """``client`` is its address. ``line`` is the request line, as far as it was read."""
        if line is not None:
            self.method, self.version = line.method, line.version
            self.target = line.target.decode("latin-1") or "-"
        self.client = client
        self.scheme = scheme
        self.status = error.status
        self.length = 0 if self.method == "HEAD" else len(str(error)) + 1  # bytes of content
        self.request_headers: Fields = []
        self.response_headers: Fields = []
        self.line = _NoCache()
        self.block = _NoCache()
        self.head = _NoCache()
