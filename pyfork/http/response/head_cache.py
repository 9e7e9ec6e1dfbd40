"""A cache of response heads for a worker; `head` has the rules.

Applications send the same few fields again and again. The line of each checked field is cached,
and so is the last whole response with its inputs.
"""

import logging
from collections.abc import Iterable
from typing import Any

from pyfork.http.cache import BoundedCache
from pyfork.http.errors import ResponseError
from pyfork.http.request.head import RequestHead
from pyfork.http.response.head import (
    LINES,
    NO_CONTENT,
    SERVER_FIELDS,
    Response,
    build_response,
    validate_fields,
)

log = logging.getLogger("pyfork.error")

_FIELD = 256  # bytes of the longest cached line

_USUAL = {status: line for status, line in LINES.items() if status not in NO_CONTENT}

_CHUNKED = b"Transfer-Encoding: chunked\r\n"

_BOTH = frozenset((b"transfer-encoding", b"content-length"))

# Not cached: their values differ each time, and they must not stay in memory.
_SECRET = b"set-cookie"


class _NeedsSlowPath(Exception):
    """A field of the connection, or one that replaces the server's own."""


# A field's line, and the number in it if it is a Content-Length; else -1.
Line = tuple[bytes, int]


class ResponseHeads:
    """Makes the heads of responses."""

    def __init__(self, *, server: bytes) -> None:
        """``server``: a complete Server line, or empty."""
        self._server = server
        self._date = b""
        self._ours = b""  # both lines
        self._warned = False  # about two fields that exclude each other
        # The last whole response and its inputs; the fields are hashable, so they cannot change.
        self._fields: list[Any] | None = None
        self._last = Response(200, b"", False, True, False, 0)
        # Field as the application gives it (a pair of bytes or text) -> its line.
        self._lines: BoundedCache[Any, Line] = BoundedCache()

    def date(self, line: bytes) -> None:
        """Set the Date line, once a second."""
        self._date = line
        self._ours = line + self._server
        self._fields = None

    @property
    def server_lines(self) -> dict[str, bytes]:
        """The server's own lines, as arguments of `build_response`."""
        return {"date": self._date, "server": self._server}

    def begin(
        self,
        request: RequestHead,
        status: int,
        reason: bytes | None,
        headers: Iterable[Any],
        closing: bool,
        length: int | None,
    ) -> Response:
        """`build_response` for fields that are pairs of bytes or text (Latin-1)."""
        if type(headers) is not list:
            headers = list(headers)
        response = None
        if reason is None and request.line.is_simple:
            closing = closing or not request.block.keep_alive
            response = self._fast(status, headers, closing, length)
        return response or self._slow(request, status, reason, headers, closing, length)

    def build_whole(
        self,
        request: RequestHead,
        status: int,
        reason: bytes | None,
        headers: Iterable[Any],
        closing: bool,
        length: int,
    ) -> Response:
        """`build_response` for complete content.

        The response may be shared with an earlier request and must not be changed.
        """
        last = self._last
        if reason is not None or not (request.is_simple or (closing and request.line.is_simple)):
            return self.begin(request, status, reason, headers, closing, length)
        if (
            headers == self._fields
            and length == last.remaining
            and status == last.status
            and closing is last.close
        ):
            return last
        if type(headers) is not list:
            headers = list(headers)
        response = self._fast(status, headers, closing, length)
        if response is None:
            return self._slow(request, status, reason, headers, closing, length)
        self._fields, self._last = headers.copy(), response
        return response

    def _fast(
        self, status: int, headers: list[Any], closing: bool, length: int | None
    ) -> Response | None:
        """Build a common response: with content, and without special fields.

        Returns None for others. Raises ResponseError.
        """
        status_line = _USUAL.get(status)
        if status_line is None:
            return None
        pieces = [status_line, self._ours]
        left: int | None = None
        known = self._lines
        try:
            for field in headers:
                line, number = known.get(field) or self._learn(field)
                if number >= 0:
                    if left is not None:
                        raise ResponseError("Content-Length came twice")
                    left = number
                pieces.append(line)
        except (TypeError, _NeedsSlowPath):  # unhashable, or a special field
            return None
        if left is None:
            pieces.append(_CHUNKED if length is None else b"Content-Length: %d\r\n" % length)
            left = length
        elif length is not None and length < left:
            raise ResponseError(f"content is {left - length} bytes short of the Content-Length")
        pieces.append(b"Connection: close\r\n\r\n" if closing else b"\r\n")
        return Response(status, b"".join(pieces), closing, True, left is None, left)

    def _learn(self, field: Any) -> Line:
        """Return the line of a field that is not cached. Raises ResponseError and
        _NeedsSlowPath."""
        [(name, value)], [lower] = validate_fields([_as_bytes(field)])
        if lower in SERVER_FIELDS:
            raise _NeedsSlowPath
        number = -1
        if lower == b"content-length":
            if not value.isdigit() or len(value) > 18:
                raise ResponseError(f"invalid Content-Length {value!r}")
            number = int(value)
        line = b"%b: %b\r\n" % (name, value), number
        if len(line[0]) <= _FIELD and lower != _SECRET:
            self._lines.put(field, line)
        return line

    def _slow(
        self,
        request: RequestHead,
        status: int,
        reason: bytes | None,
        headers: list[Any],
        closing: bool,
        length: int | None,
    ) -> Response:
        """Build any response."""
        fields = [_as_bytes(field) for field in headers]
        response = build_response(
            request, status, reason, fields, closing=closing, length=length, **self.server_lines
        )
        if not self._warned and {name.lower() for name, _ in fields} >= _BOTH:
            self._warned = True
            log.warning(
                "%s %s: the application sent both Transfer-Encoding and Content-Length; the former "
                "is dropped, here and from now on",
                request.method,
                request.path.decode("latin-1"),
            )
        return response


def _as_bytes(field: Any) -> tuple[bytes, bytes]:
    """Return a field as bytes. Raises ResponseError for other types, or if it is no pair."""
    try:
        name, value = field
        if isinstance(name, str) and isinstance(value, str):
            return name.encode("latin-1"), value.encode("latin-1")
        return bytes(memoryview(name)), bytes(memoryview(value))
    except UnicodeEncodeError:
        raise ResponseError(f"header {name!r}: its value is not Latin-1 text") from None
    except (TypeError, ValueError):
        raise ResponseError("header fields are pairs of bytes, or of text") from None
