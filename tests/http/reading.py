"""Feeds raw bytes to a parser in pieces, and says what came of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pyfork.errors import ProtocolError
from pyfork.http.request.h11_parser import H11Parser
from pyfork.http.request.head import RequestHead
from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.limits import SizeLimits
from pyfork.http.request.parser import Parser
from pyfork.http.request.parsing import RequestParser

PARSERS: dict[str, type[RequestParser]] = {"auto": Parser, "h11": H11Parser}

SIZES = (0, 1, 7)  # of the pieces: all in one, byte by byte, across every token


@dataclass
class Request:
    """One request as a sink sees it."""

    head: RequestHead
    body: bytes = b""
    whole: bool = False


@dataclass
class Outcome:
    """What a connection's bytes led to."""

    requests: list[Request] = field(default_factory=list)
    status: int | None = None  # of the refusal
    rest: bytes = b""  # behind a handshake
    fed: int = 0  # bytes that were taken before the refusal

    # The sink.

    def head_received(self, head: RequestHead, *, whole: bool, content: bytes = b"") -> None:
        assert not self.requests or self.requests[-1].whole
        assert len(content) == (head.block.content_length or 0 if whole else 0)
        assert not (whole and head.block.chunked)
        self.requests.append(Request(head, content, whole))

    def body_received(self, data: bytes) -> None:
        assert data
        assert not self.requests[-1].whole
        self.requests[-1].body += data

    def request_complete(self) -> None:
        assert not self.requests[-1].whole
        self.requests[-1].whole = True

    # For tests.

    @property
    def complete(self) -> list[Request]:
        """The requests that arrived whole."""
        return [request for request in self.requests if request.whole]

    def summary(self, first: int = 0) -> tuple[object, ...]:
        """All of it that must not depend on the pieces, or on what was read before.

        From the ``first`` request on.
        """
        requests = self.requests[first:]
        heads = [parts(request.head) for request in requests]
        bodies = [request.body for request in requests if request.whole]
        return heads, bodies, self.status, self.rest


def pieces(raw: bytes, size: int) -> Iterator[bytes]:
    """``raw`` in pieces of ``size`` bytes; 0 means in one."""
    for start in range(0, len(raw), size or max(len(raw), 1)):
        yield raw[start : start + (size or len(raw))]


def parts(head: RequestHead) -> dict[str, object]:
    """All that a head says."""
    line, block = head.line, head.block
    return {
        "method": line.method,
        "target": line.target,
        "path": line.path,
        "query": line.query,
        "version": line.version,
        "authority": head.authority,
        "headers": block.fields,
        "content_length": block.content_length,
        "chunked": block.chunked,
        "keep_alive": block.keep_alive,
        "expect_continue": block.expect_continue,
        "upgrade": block.upgrade,
        "handshake": head.handshake,
    }


def new_parser(
    outcome: Outcome, limits: SizeLimits | None = None, kind: type[RequestParser] = Parser
) -> RequestParser:
    """A parser of a worker that has read nothing yet."""
    return kind(HeadReader(limits or SizeLimits()), outcome)


def read(
    raw: bytes | Iterable[bytes],
    size: int = 0,
    *,
    reader: HeadReader | None = None,
    kind: type[RequestParser] = Parser,
    **limits: int,
) -> Outcome:
    """Feed ``raw`` to a new parser until it refuses or a handshake stops it."""
    outcome = Outcome()
    parser = kind(reader or HeadReader(SizeLimits(**limits)), outcome)
    drive(parser, outcome, pieces(raw, size) if isinstance(raw, bytes) else iter(raw))
    return outcome


def drive(parser: RequestParser, outcome: Outcome, stream: Iterator[bytes]) -> None:
    """Feed ``stream`` as a connection does until the parser refuses or a handshake stops it."""
    for piece in stream:
        outcome.fed += len(piece)
        if (single := parser.parse_whole_request(piece)) is not None:  # as a connection does
            content = piece[len(piece) - (single.block.content_length or 0) :]
            outcome.head_received(single, whole=True, content=content)
            continue
        try:
            rest = parser.feed(piece)
        except ProtocolError as error:
            outcome.status = error.status
            break
        if outcome.requests and outcome.requests[-1].head.handshake:
            outcome.rest = rest + b"".join(stream)
            break
        assert rest == b""


def read_everyhow(raw: bytes, kind: type[RequestParser] = Parser, **limits: int) -> Outcome:
    """Read in pieces of each size, by a worker that remembers: the outcome must be the same."""
    outcome = read(raw, kind=kind, **limits)
    reader = HeadReader(SizeLimits(**limits))
    for size in SIZES * 2:
        other = read(raw, size, reader=reader, kind=kind)
        assert other.summary() == outcome.summary(), size
    return outcome
