"""The heads of a worker's responses; `response` has the rules.

Applications send the same few fields again and again. A field that was checked once is remembered
as the line it makes, as many as the bound allows; what changes with each response costs a check
each time. A memory that is full begins anew.
"""

from collections.abc import Iterable
from typing import Any

from pyfork.http.request import RequestHead
from pyfork.http.response import LINES, NO_CONTENT, SPECIAL, Response, ResponseError, begin, checked

_FIELDS = 512  # fields remembered
_FIELD = 256  # characters of the longest of them

_USUAL = {status: line for status, line in LINES.items() if status not in NO_CONTENT}

# Not remembered: no two are the same, and nobody expects to find them in memory later.
_SECRET = b"set-cookie"


class Heads:
    """Makes the heads of responses."""

    def __init__(self, *, server: bytes) -> None:
        """``server``: a ready Server line, or none."""
        self._server = server
        self._date = b""
        self._ours = b""  # both lines
        # Field as the application gives it, a pair of bytes or of text -> its line.
        self._lines: dict[Any, bytes] = {}
        # The same for Content-Length -> its value, and its line.
        self._lengths: dict[Any, tuple[int, bytes]] = {}

    def date(self, line: bytes) -> None:
        """Once a second: the Date line from now on."""
        self._date = line
        self._ours = line + self._server

    @property
    def ours(self) -> dict[str, bytes]:
        """The lines of ours, as `response.begin` takes them."""
        return {"date": self._date, "server": self._server}

    def begin(
        self,
        request: RequestHead,
        status: int,
        reason: bytes | None,
        headers: Iterable[tuple[Any, Any]],
        closing: bool,
        length: int | None,
    ) -> Response:
        """`response.begin`, for fields that are pairs of bytes or of text (Latin-1).

        The short way is for the usual response: of a known status and no other reason, with
        content, in HTTP/1.1. Raises ResponseError.
        """
        if type(headers) is not list:
            headers = list(headers)
        line = _USUAL.get(status)
        found = None
        if line is not None and reason is None and request.line.usual:
            found = self._pass_on(headers)
        if line is None or found is None:
            fields = [_as_bytes(field) for field in headers]
            return begin(
                request, status, reason, fields, closing=closing, length=length, **self.ours
            )
        passed, left = found
        chunked = False
        framing = b""
        if left is not None:
            if length is not None and length < left:
                raise ResponseError(f"content is {left - length} bytes short of the Content-Length")
        elif length is not None:
            framing = b"Content-Length: %d\r\n" % length
            left = length
        else:
            framing = b"Transfer-Encoding: chunked\r\n"
            chunked = True
        closing = closing or not request.block.keep_alive
        end = b"Connection: close\r\n\r\n" if closing else b"\r\n"
        head = b"".join((line, self._ours, *passed, framing, end))
        return Response(status, head, closing, True, chunked, left)

    def _pass_on(self, headers: list[tuple[Any, Any]]) -> tuple[list[bytes], int | None] | None:
        """The fields' lines, and what Content-Length says; None where it takes a closer look."""
        passed: list[bytes] = []
        said = None
        lines, lengths = self._lines, self._lengths
        try:
            for field in headers:
                line = lines.get(field)
                if line is None:
                    if field not in lengths:
                        line = self._learn(field)
                    if field in lengths and said is None:
                        said, line = lengths[field]
                    if line is None:
                        return None
                passed.append(line)
        except TypeError:  # not even hashable
            return None
        return passed, said

    def _learn(self, field: tuple[Any, Any]) -> bytes | None:
        """The line of a field; None for those that are not simply passed on.

        A Content-Length is put among the lengths. Raises ResponseError.
        """
        [(name, value)], [lower] = checked([_as_bytes(field)])
        if lower in SPECIAL:
            return None
        line: bytes | None = b"%b: %b\r\n" % (name, value)
        memory: dict[Any, Any] = self._lines
        entry: Any = line
        if lower == b"content-length":
            if not value.isdigit() or len(value) > 18:
                raise ResponseError(f"invalid Content-Length {value!r}")
            memory, entry, line = self._lengths, (int(value), line), None
        elif len(name) + len(value) > _FIELD or lower == _SECRET:
            return line
        if len(memory) >= _FIELDS:
            memory.clear()
        memory[field] = entry
        return line


def _as_bytes(field: tuple[Any, Any]) -> tuple[bytes, bytes]:
    """A field as bytes. Raises ResponseError for what is neither text nor bytes, or no pair."""
    try:
        name, value = field
        if isinstance(name, str) and isinstance(value, str):
            return name.encode("latin-1"), value.encode("latin-1")
        return bytes(memoryview(name)), bytes(memoryview(value))
    except UnicodeEncodeError:
        raise ResponseError(f"header {name!r}: its value is not Latin-1 text") from None
    except (TypeError, ValueError):
        raise ResponseError("header fields are pairs of bytes, or of text") from None
