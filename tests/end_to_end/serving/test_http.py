"""RFC 9110 and 9112 through the whole server: both gateways, both parsers, raw bytes."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.harness.client import Response, Wire, chunked, request
from tests.harness.server import Server

# Each interface with each parser, and WSGI in the loop's thread and in others.
KINDS = [
    ("wsgi", "auto"),
    ("wsgi", "h11", "--threads", "2"),
    ("asgi", "auto"),
    ("asgi", "h11"),
]
BEHIND = request("GET", "/behind")


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(kind[:2]))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    interface, parser, *threads = request.param
    directory: Path = tmp_path_factory.mktemp(f"{interface}-{parser}")
    options = ("--http", parser, "--limit-request-body", "2M", *threads)
    with Server(f"tests.apps.plain:{interface}", *options, directory=directory) as server:
        yield server


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with Wire(server.port) as wire:
        yield wire


def seen(server: Server, path: str) -> int:
    """How often the application was called for ``path``."""
    return int(json.loads(server.get("/seen").body).get(path, 0))


def is_asgi(server: Server) -> bool:
    return server.directory.name.startswith("asgi")


def is_h11(server: Server) -> bool:
    return "-h11" in server.directory.name


def fields(*lines: bytes, path: bytes = b"/refused") -> bytes:
    return b"\r\n".join((b"POST %b HTTP/1.1" % path, *lines, b"", b""))


def chunks(body: bytes) -> bytes:
    """What an ASGI app may see the beginning of."""
    return fields(b"Host: a", b"Transfer-Encoding: chunked", path=b"/begun") + body


# By the row of the requirement: what is refused, with which status.
REFUSED: dict[str, tuple[bytes, set[int]]] = {
    "1 no host": (fields(b"A: b"), {400}),
    "1 two hosts": (fields(b"Host: a", b"Host: a"), {400}),
    "1 bad host": (fields(b"Host: a b"), {400}),
    "3 target": (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 9000), {414}),
    "4 blank before colon": (fields(b"Host: a", b"X : b"), {400}),
    "5 fold": (fields(b"Host: a", b"X: b", b" c"), {400}),
    "6 blank before fields": (fields(b" Host: a", b"Host: a"), {400}),
    "7 bare CR": (fields(b"Host: a", b"X: b\rY: c"), {400}),
    "8 NUL": (fields(b"Host: a", b"X: \0"), {400}),
    "10 field": (fields(b"Host: a", b"X: " + b"a" * 9000), {431}),
    "10 fields": (fields(b"Host: a", *[b"X: a"] * 101), {431}),
    "11 length": (fields(b"Host: a", b"Content-Length: +1"), {400}),
    "12 length": (fields(b"Host: a", b"Content-Length: 18446744073709551617"), {400, 413}),
    "12 chunk": (chunks(b"10000000000000001\r\na\r\n0\r\n\r\n"), {400, 413}),
    "13 not final": (fields(b"Host: a", b"Transfer-Encoding: chunked, gzip"), {400}),
    "14 both": (
        fields(b"Host: a", b"Transfer-Encoding: chunked", b"Content-Length: 5") + chunked(b"a"),
        {400},
    ),
    "15 in 1.0": (
        b"POST /refused HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"a"),
        {400},
    ),
    "16 chunk size": (chunks(b"0x1\r\na\r\n"), {400}),
    "16 chunk end": (chunks(b"1\r\nab\r\n0\r\n\r\n"), {400}),
    "29 version": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", {400, 505}),
    "413": (fields(b"Host: a", b"Content-Length: 3000000"), {413}),
    "501 coding": (fields(b"Host: a", b"Transfer-Encoding: gzip, chunked"), {501}),
    "417": (fields(b"Host: a", b"Expect: tea"), {417}),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_refused_ends_the_connection(server: Server, wire: Wire, row: str) -> None:
    """One answer, announced as the last; what is pipelined behind never reaches the app."""
    before = seen(server, "/behind")
    data, statuses = REFUSED[row]
    if is_h11(server):
        if row == "5 fold":
            pytest.skip("h11 reads a fold as a blank, which RFC 9112 5.2 allows")
        if row == "12 chunk":
            pytest.skip("h11 does not tell what a chunk announces: the limit is of what has come")
        if row == "13 not final":
            statuses = {501}  # RFC 9112 6.3(4) says 400: ours is right
    wire.send_what_is_taken(data + BEHIND)
    (answer,) = wire.read_all()
    assert answer.status in statuses
    assert answer.headers["connection"] == "close"
    assert parsedate_to_datetime(answer.headers["date"])
    assert seen(server, "/behind") == before
    assert seen(server, "/refused") == 0


@pytest.mark.parametrize(
    "data",
    [
        b"HEAD / HTTP/1.1\r\n\r\n",
        b"HEAD / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"HEAD /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 9000),
        b"HEAD / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ],
    ids=["host", "version", "target", "field", "content"],
)
def test_a_refused_head_has_no_content(wire: Wire, data: bytes) -> None:
    wire.send(data)
    answer = wire.read("HEAD")
    assert answer.status >= 400
    assert int(answer.headers["content-length"]) > 0
    assert wire.stream.read() == b""


def test_what_is_refused_waits_for_its_turn(wire: Wire) -> None:
    wire.send(request("POST", "/1", body=b"one") + fields(b"Host: a b") + BEHIND)
    assert [one.status for one in wire.read_all()] == [200, 400]


ACCEPTED: dict[str, tuple[bytes, bytes]] = {
    "2 absolute": (b"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", b""),
    "9 blanks": (fields(b"Host: \t a \t", b"X:", b"Content-Length:  1 ") + b"a", b"a"),
    "16 chunked": (
        fields(b"host: a", b"transfer-ENCODING: Chunked")
        + b'3;x="a;b";y\r\nabc\r\n00\r\nTrailer: t\r\n\r\n',
        b"abc",
    ),
    "29 minor": (b"GET / HTTP/1.9\r\nHost: a\r\n\r\n", b""),
    "31 upgrade": (
        fields(b"Host: a", b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 2") + b"ab",
        b"ab",
    ),
    "an empty line before": (b"\r\n" + request("GET", "/"), b""),
    "8000 bytes": (request("GET", "/" + "a" * 7980), b""),
}


@pytest.mark.parametrize("row", ACCEPTED)
@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "bytewise"])
def test_what_is_accepted_keeps_the_connection(wire: Wire, row: str, pieces: bool) -> None:
    data, body = ACCEPTED[row]
    if pieces and len(data) < 1000:
        for at in range(len(data)):
            wire.send(data[at : at + 1])
    else:
        wire.send(data)
    answer = wire.read()
    assert (answer.status, answer.body) == (200, body)
    assert wire.get("/").status == 200


# Framing of responses: rows 17, 18, 20, 21, 28, 30.


def test_the_old_version_gets_no_chunks(wire: Wire) -> None:
    wire.send(b"GET /?bytes=9 HTTP/1.0\r\n\r\n")
    answer = wire.read()
    assert "transfer-encoding" not in answer.headers
    assert answer.body == b"x" * 9
    assert wire.maybe_read() is None


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content(wire: Wire, status: int) -> None:
    answer = wire.get(f"/?status={status}&bytes=9")
    assert answer.status == status
    assert "transfer-encoding" not in answer.headers
    assert status == 304 or "content-length" not in answer.headers
    assert wire.get("/?bytes=2").body == b"xx"


def test_head_has_no_content(wire: Wire) -> None:
    wire.send(request("HEAD", "/?bytes=9"))
    assert wire.read("HEAD").headers["content-length"] == "9"
    assert wire.get("/?bytes=2").body == b"xx"


@pytest.mark.parametrize("status", [200, 302, 404, 500])
def test_there_is_a_date(wire: Wire, status: int) -> None:
    assert parsedate_to_datetime(wire.get(f"/?status={status}").headers["date"])


@pytest.mark.parametrize(
    "field",
    ["X:a%0D%0AEvil:%20b", "X:a%0Ab", "X:a%00", "X%0D%0AEvil:b", "X%20Y:a", ":a", "X:%7F"],
)
def test_the_app_cannot_leave_the_grammar(server: Server, wire: Wire, field: str) -> None:
    answer = wire.get(f"/?field={field}")
    assert answer.status == 500
    assert "evil" not in answer.headers
    assert server.get("/").status == 200


@pytest.mark.parametrize(
    "field", ["Content-Length:5", "Content-Length:99", "Transfer-Encoding:gzip", "Content-Length:x"]
)
def test_the_framing_is_the_servers(wire: Wire, field: str) -> None:
    """A Content-Length that is not the content's, or a coding that is not there."""
    assert wire.get(f"/?field={field}&bytes=9").status == 500


# Persistence: rows 22, 23, 25.


def test_close_is_the_last(server: Server, wire: Wire) -> None:
    before = seen(server, "/behind")
    wire.send(request("GET", "/", "Connection: foo, CLOSE") + BEHIND)
    (answer,) = wire.read_all()
    assert answer.headers["connection"] == "close"
    assert seen(server, "/behind") == before


def test_what_comes_behind_close_does_not_destroy_the_answer(wire: Wire) -> None:
    """A close with unread bytes sends a reset, which may overtake the response."""
    wire.send(request("GET", "/?bytes=9", "Connection: close") + bytes(4_000_000))
    assert [one.body for one in wire.read_all()] == [b"x" * 9]


def test_an_application_may_close(server: Server, wire: Wire) -> None:
    before = seen(server, "/behind")
    wire.send(request("GET", "/?field=Connection:close") + BEHIND)
    (answer,) = wire.read_all()
    assert answer.headers["connection"] == "close"
    assert seen(server, "/behind") == before


def test_close_in_a_later_request_does_not_end_an_earlier_one(wire: Wire) -> None:
    wire.send(
        request("POST", "/", body=b"1") + request("POST", "/", "Connection: close", body=b"2")
    )
    first, second = wire.read_all()
    assert (first.body, second.body) == (b"1", b"2")
    assert first.headers.get("connection") is None
    assert second.headers["connection"] == "close"


@pytest.mark.parametrize("keep", [True, False])
def test_the_old_version_is_kept_if_it_asks(wire: Wire, keep: bool) -> None:
    wire.send(request("GET", "/", *(["Connection: Keep-Alive"] if keep else []), version="1.0"))
    assert wire.read().headers["connection"] == ("keep-alive" if keep else "close")
    if keep:
        assert wire.get("/").status == 200
    else:
        assert wire.maybe_read() is None


def test_a_burst_is_answered_in_order_and_starves_nobody(server: Server, wire: Wire) -> None:
    """4,000 pipelined requests, while another client wants an answer."""
    count = 4000
    burst = b"".join(request("POST", "/burst", body=b"%05d" % number) for number in range(count))
    worker = server.workers()[0]
    before = worker.memory_info().rss
    sender = threading.Thread(target=wire.send, args=(burst,))
    sender.start()
    with Wire(server.port) as other:
        assert wire.read().body == b"00000"
        assert other.get("/other").status == 200
        assert seen(server, "/burst") < count
        grown = 0
        for number in range(1, count):
            assert wire.read().body == b"%05d" % number
            if number % 1000 == 0:
                grown = max(grown, worker.memory_info().rss - before)
    sender.join()
    assert grown < 16 << 20


def test_a_body_may_come_while_earlier_requests_are_answered(server: Server, wire: Wire) -> None:
    """Reading is paused while requests wait, and goes on for the one whose turn it is."""
    body = b"y" * 200_000
    many = request("GET", "/") * 50
    data = many + request("POST", "/late", body=body) + many
    wire.send(data[: len(many) + 1000])
    for _ in range(50):
        assert wire.read().status == 200
    wire.send(data[len(many) + 1000 :])
    assert wire.read().body == body
    for _ in range(50):
        assert wire.read().status == 200


def test_a_body_behind_many_requests_in_one_write(wire: Wire) -> None:
    many, body = request("GET", "/") * 1800, b"y" * 200_000
    sender = threading.Thread(target=wire.send, args=(many + request("POST", "/", body=body),))
    sender.start()
    for _ in range(1800):
        assert wire.read().status == 200
    assert wire.read().body == body
    sender.join()


# Ends: rows 19, 24.


def test_a_half_closed_client_is_answered(wire: Wire) -> None:
    wire.send(request("POST", "/", body=b"1") + request("POST", "/", body=b"2"))
    wire.socket.shutdown(socket.SHUT_WR)
    assert [one.body for one in wire.read_all()] == [b"1", b"2"]


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_truncated_body_is_not_served_as_whole(server: Server, wire: Wire, coding: str) -> None:
    path = f"/truncated-{coding}"
    framing = "Transfer-Encoding: chunked" if coding == "chunked" else "Content-Length: 5"
    wire.send(request("POST", path, framing) + (b"5\r\nab" if coding == "chunked" else b"ab"))
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.read_all() == []
    if is_asgi(server):
        server.until(lambda: seen(server, "disconnected " + path) == 1, "the app was told")
    else:
        assert seen(server, path) == 0


def test_a_reset_within_a_body(server: Server, wire: Wire) -> None:
    wire.send(request("POST", "/reset", "Content-Length: 5") + b"ab")
    assert server.get("/").status == 200
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()
    if is_asgi(server):
        server.until(lambda: seen(server, "disconnected /reset") == 1, "the app was told")
    else:
        assert seen(server, "/reset") == 0


def test_an_error_within_chunks_ends_what_was_in_progress(server: Server, wire: Wire) -> None:
    wire.send(fields(b"Host: a", b"Transfer-Encoding: chunked").replace(b"refused", b"mid-chunk"))
    wire.send(b"3\r\nabc\r\n")
    assert server.get("/").status == 200
    wire.send(b"oops\r\n" + BEHIND)
    (answer,) = wire.read_all()
    assert answer.status == 400
    if is_asgi(server):
        server.until(lambda: seen(server, "disconnected /mid-chunk") == 1, "the app was told")
    else:
        assert seen(server, "/mid-chunk") == 0


@pytest.mark.parametrize("framing", ["Content-Length: 8000000", "Transfer-Encoding: chunked"])
def test_an_early_413_is_not_lost_while_the_client_sends(wire: Wire, framing: str) -> None:
    wire.send(request("POST", "/", framing) + b"7A1200\r\n" + bytes(8_000_000))
    (answer,) = wire.read_all()
    assert answer.status == 413


def test_a_small_unread_body_costs_nothing(server: Server, wire: Wire) -> None:
    for _ in range(2):
        wire.send(request("POST", "/?unread=1&bytes=2", body=b"a" * 100_000))
        assert wire.read().body == b"xx"


# Expectations: row 26.


def test_continue_comes_before_the_body(wire: Wire) -> None:
    wire.send(request("POST", "/", "Expect: 100-Continue", "Content-Length: 3"))
    assert wire.read().status == 100
    wire.send(b"abc")
    assert wire.read().body == b"abc"
    assert wire.get("/").status == 200


def test_a_body_that_does_not_wait_needs_no_continue(wire: Wire) -> None:
    wire.send(request("POST", "/", "Expect: 100-continue", body=b"abc"))
    answer = wire.read()
    if answer.status == 100:
        answer = wire.read()
    assert answer.body == b"abc"
    assert wire.get("/").status == 200


def test_the_old_version_expects_nothing(wire: Wire) -> None:
    head = request("POST", "/", "Expect: 100-continue", "Content-Length: 3", version="1.0")
    wire.send(head)
    wire.send(b"abc")
    assert wire.read().body == b"abc"


def test_nothing_is_taken_from_behind_an_answer_that_closes(server: Server, wire: Wire) -> None:
    """An app that answers before the body was sent closes; if the body was there, it goes on."""
    before = seen(server, "/behind")
    wire.send(request("POST", "/?unread=1", "Expect: 100-continue", body=b"abc") + BEHIND)
    answer = wire.read()
    if answer.status == 100:
        answer = wire.read()
    if answer.headers.get("connection") == "close":
        assert wire.maybe_read() is None
        assert seen(server, "/behind") == before
    else:
        assert wire.read().status == 200


def test_an_app_that_answers_at_once_wants_no_body(server: Server, wire: Wire) -> None:
    """ASGI only: a WSGI app is called when the body is there."""
    if not is_asgi(server):
        pytest.skip("a WSGI app is called when the body is there")
    wire.send(request("POST", "/?unread=1", "Expect: 100-continue", "Content-Length: 3"))
    answers: list[Response] = wire.read_all()
    assert [one.status for one in answers] == [200]
    assert answers[0].headers["connection"] == "close"


MALFORMED = request("POST", "/refused", "Transfer-Encoding: chunked") + b"zz\r\n\r\n"
EARLY = request("POST", "/?unread=1", "Transfer-Encoding: chunked") + b"zz\r\n\r\n"


@pytest.mark.parametrize("before", [1, 2, 50])
def test_a_refusal_is_answered_once(server: Server, wire: Wire, before: int) -> None:
    """Good requests and a malformed body in one segment."""
    wire.send(request("GET", "/") * before + MALFORMED)
    assert [each.status for each in wire.read_all()] == [200] * before + [400]
    assert "RuntimeError" not in server.log


def test_a_broken_body_behind_its_answer_gets_no_second_one(server: Server, wire: Wire) -> None:
    """ASGI: the application has answered before the body was there."""
    wire.send(request("GET", "/") + EARLY)
    answers = [each.status for each in wire.read_all()]
    assert answers in ([200, 200], [200, 400])
    assert "RuntimeError" not in server.log
