"""`wsgi.file_wrapper` over every kind of file object, and no further than Content-Length."""

import hashlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyfork.http.errors import NotBytes
from pyfork.http.wsgi.sendfile import FileWrapper
from tests.end_to_end.tls.authority import Authority, connected
from tests.harness.server import Server, exchange
from tests.wsgi.app import CONTENT, FILES


@pytest.fixture(scope="module", params=["sync", "asyncio", "thread"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    options = {"sync": (), "asyncio": ("--loop", "asyncio"), "thread": ("--threads", "2")}
    with Server("tests.wsgi.app", *options[request.param], directory=directory) as server:
        yield server


@pytest.mark.parametrize("kind", FILES)
def test_it_arrives_whole_and_is_closed(server: Server, kind: str) -> None:
    """whitenoise#301: and the connection goes on."""
    connection = server.connect()
    for _ in range(2):
        answer = exchange(connection, "GET", f"/file?{kind}")
        assert (answer.status, digest(answer.body)) == (200, digest(CONTENT))
    closed = exchange(connection, "GET", "/told").body.decode().split("\n")
    assert closed.count(f"closed {kind}") >= 2 * (kind not in ("read", "generous"))
    assert exchange(connection, "HEAD", f"/file?{kind}").body == b""
    assert exchange(connection, "GET", "/pid").status == 200
    connection.close()


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part", ["0-0", "0-10", "6-1000", "100-100000", "1000-200000"])
def test_it_stops_at_content_length(server: Server, kind: str, part: str) -> None:
    connection = server.connect()
    answer = exchange(connection, "GET", f"/file?{kind},{part}")
    offset, length = map(int, part.split("-"))
    assert answer.status == 200
    assert digest(answer.body) == digest(CONTENT[offset : offset + length])
    assert exchange(connection, "GET", "/pid").status == 200
    connection.close()


def test_a_text_file_by_mistake(server: Server) -> None:
    assert server.get("/text").status == 500
    server.wait_log("content is of type str; it must be bytes")


def digest(data: bytes) -> str:
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def test_what_is_sent_by_the_kernel(tmp_path: Path) -> None:
    """Files whose reads give the bytes of their descriptor, wherever they stand; no others."""
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    for mode, buffering in (("rb", -1), ("rb", 0), ("r+b", -1)):
        with open(path, mode, buffering) as file:
            file.read(100)
            region = FileWrapper(file).file_range()
            assert region is not None
            assert (region.offset, region.count) == (100, len(CONTENT) - 100)
    with tempfile.NamedTemporaryFile() as named:
        named.write(b"not flushed")
        region = FileWrapper(named).file_range()
        assert region is not None
        assert (region.offset, region.count) == (11, 0)

    class Upper(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(size).upper()  # type: ignore[union-attr]

    with Upper(path) as upper, open(path, encoding="latin-1") as text:
        assert FileWrapper(upper).file_range() is FileWrapper(text).file_range() is None
    assert FileWrapper(io.BytesIO(CONTENT)).file_range() is None


def test_pieces_end_at_the_limit() -> None:
    file = io.BytesIO(CONTENT)
    assert b"".join(FileWrapper(file, 1000).pieces(2500)) == CONTENT[:2500]
    assert file.tell() == 2500  # no more was read
    assert list(FileWrapper(io.BytesIO(b"short")).pieces(10)) == [b"short"]
    with pytest.raises(NotBytes, match="of type NoneType"):
        list(FileWrapper(type("Empty", (), {"read": lambda self, size: None})()))


@pytest.mark.parametrize("options", [(), ("--threads", "2")], ids=["sync", "thread"])
def test_by_tls(tmp_path: Path, options: tuple[str, ...]) -> None:
    """What is sent by the kernel elsewhere is read here, in the loop."""
    authority = Authority(tmp_path)
    options += tuple(authority.options())
    with (
        Server("tests.wsgi.app", *options, directory=tmp_path) as server,
        connected(server, authority.client()) as connection,
    ):
        for kind in ("regular", "bytes", "gzip"):
            assert exchange(connection, "GET", f"/file?{kind}").body == CONTENT
            part = exchange(connection, "GET", f"/file?{kind},100-200000").body
            assert part == CONTENT[100:200100]
