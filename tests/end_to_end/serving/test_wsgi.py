"""PEP 3333, from the client's side: every kind of answer, of sync and thread, with both parsers."""

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead, RemoteDisconnected
from pathlib import Path

import pytest

from tests.apps.kinds import BIG
from tests.harness.server import Answer, Server, exchange

THREADS = ("--threads", "4")
KINDS = {
    "sync": (),
    "thread": THREADS,
    "sync-h11": ("--http", "h11"),
    "thread-h11": ("--http", "h11", *THREADS),
}


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    with Server("tests.apps.kinds:app", *KINDS[request.param], directory=directory) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/whole", 200, b"one two"),
        ("/generator", 200, b"0 1 2 3 4 "),
        ("/late-start", 200, b"late"),
        ("/written", 200, b"written and returned"),
        ("/nothing", 200, b""),
        ("/no-content", 204, b""),
        ("/second-thought", 500, b"sorry"),
        ("/split-header", 500, b"Internal Server Error\n"),
        ("/long", 500, b"Internal Server Error\n"),
        ("/unstarted", 500, b"Internal Server Error\n"),
        ("/leaves", 500, b"Internal Server Error\n"),
        ("/missing", 500, b"Internal Server Error\n"),
    ],
)
def test_answers(server: Server, path: str, status: int, body: bytes) -> None:
    answer = server.get(path)
    assert (answer.status, answer.body) == (status, body)


def test_the_reason_is_the_applications(server: Server) -> None:
    connection = server.connect()
    connection.request("GET", "/whole")
    response = connection.getresponse()
    assert response.reason == "Fine"
    connection.close()


@pytest.mark.parametrize("path", ["/breaks", "/short", "/too-late"])
def test_a_broken_response_is_seen_to_be_broken(server: Server, path: str) -> None:
    with pytest.raises((IncompleteRead, RemoteDisconnected, ConnectionError)):
        server.get(path)


def test_a_head_needs_no_content(server: Server) -> None:
    connection = server.connect()
    for path in ("/whole", "/generator", "/file", "/nothing"):
        assert exchange(connection, "HEAD", path).body == b""
    assert exchange(connection, "GET", "/whole").body == b"one two"
    connection.close()


def test_iterables_are_closed(server: Server) -> None:
    def closed() -> list[str]:
        return server.get("/closed").body.decode().split()

    before = closed().count("generator")
    server.get("/generator")
    server.until(lambda: closed().count("generator") == before + 1, "the generator is closed")


def test_an_iterable_is_closed_when_its_client_goes(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(65536)
    server.until(lambda: b"endless" in server.get("/closed").body, "the endless one is closed")


def test_a_file_arrives_whole_on_a_kept_connection(server: Server) -> None:
    connection = server.connect()
    for _ in range(3):
        answer = exchange(connection, "GET", "/file")
        assert len(answer.body) == BIG
        assert answer.body[:16] * (BIG // 16) == answer.body
    assert exchange(connection, "GET", "/whole").body == b"one two"
    connection.close()


@pytest.mark.parametrize("size", [0, 7, 600_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_read_in_every_way(server: Server, size: int, chunked: bool) -> None:
    body = (b"line one\nand more\n" * (size // 18 + 1))[:size]
    connection: HTTPConnection = server.connect()
    connection.request("POST", "/echo", iter([body]) if chunked else body, encode_chunked=chunked)
    response = connection.getresponse()
    assert response.read() == body
    connection.close()


def environ(answer: Answer) -> dict[str, str]:
    """What /show shows."""
    pairs = (line.partition("=") for line in answer.body.decode().splitlines())
    return {key: value for key, _, value in pairs}


def test_the_environ(server: Server) -> None:
    answer = server.get(
        "/show?a=b%20c",
        **{"Cookie": "a=1", "X-One": "1", "X_Two": "2", "X-Forwarded-For": "10.1.2.3, 127.0.0.1"},
    )
    got = environ(answer)
    assert got["PATH_INFO"] == "/show"
    assert got["QUERY_STRING"] == "a=b%20c"
    assert got["RAW_URI"] == "/show?a=b%20c"
    assert got["REQUEST_METHOD"] == "GET"
    assert got["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert got["SERVER_PORT"] == str(server.port)
    assert got["HTTP_COOKIE"] == "a=1"
    assert got["HTTP_X_ONE"] == "1"
    assert "HTTP_X_TWO" not in got
    assert got["REMOTE_ADDR"] == "10.1.2.3"  # the peer is a trusted proxy: loopback
    assert got["wsgi.input_terminated"] == "True"
    assert "CONTENT_LENGTH" not in got


def test_an_encoded_path_is_decoded_once(server: Server) -> None:
    got = environ(server.get("/sho%77?q=%2520"))
    assert got["PATH_INFO"] == "/show"
    assert got["QUERY_STRING"] == "q=%2520"


def test_a_body_that_finds_no_room(tmp_path: Path) -> None:
    """The application is not to blame, and the worker goes on."""
    (tmp_path / "cramped.py").write_text(
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "from tests.apps.wsgi import app\n"
    )
    options = ("--body-memory", "0")
    with Server("cramped:app", *options, cwd=tmp_path, directory=tmp_path) as server:
        assert server.request("POST", "/", body=bytes(2 << 20)).status == 500
        assert "no room for the request's body" in server.log
        assert "error in the application" not in server.log
        assert server.get("/").status == 200
