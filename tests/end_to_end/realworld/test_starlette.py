"""Starlette: static files and ranges, sessions, GZip, WebSockets."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.end_to_end.realworld.proof import Subject, prove_life, prove_visit
from tests.end_to_end.realworld.reference import UVICORN
from tests.end_to_end.realworld.visit import Seen, Visitor

APP = "tests.end_to_end.realworld.apps.starlette_site:app"
SPANS = ("0-9", "-7", "3000-", "0-1,5-9", "999999-")
BOUNDARY = r"[0-9a-f]{26}|[0-9a-f]{32}"


def visit(visitor: Visitor) -> Iterator[Seen]:
    """All of it."""
    http, seen = visitor.http, visitor.seen
    http.cookies.clear()
    for step in ("first", "second"):
        yield seen(f"count, {step}", http.get("/", params={"q": "é", "name": visitor.name}))
    yield seen("login", http.post("/login", data={"user": visitor.name}), "location")
    yield seen("who", http.get("/who"))
    yield seen("upload", http.post("/upload", content=b"x" * 300_000))
    yield seen("upload in chunks", http.post("/upload", content=iter([b"x" * 9999] * 9)))
    yield seen("lines", http.get("/lines"), "content-encoding")
    for path in ("/static/page.txt", "/page"):
        yield from read_ranges(visitor, path)
    yield seen("no file", http.get("/static/nothing.txt"))
    yield seen("HEAD", http.head("/static/page.txt"), "content-length")
    with connect(f"{visitor.ws_url}/upper", proxy=None) as websocket:
        for text in ("hello", "é" * 9000):
            websocket.send(text)
            yield Seen(f"upper of {len(text)}", body=websocket.recv(15))


def read_ranges(visitor: Visitor, path: str) -> Iterator[Seen]:
    """A file: compressed, whole, not modified, and in part."""
    http, seen, names = visitor.http, visitor.seen, ("etag", "content-range", "content-encoding")
    yield seen(f"{path}, compressed", http.get(path), *names)
    plain = {"Accept-Encoding": "identity"}
    whole = http.get(path, headers=plain)
    yield seen(path, whole, *names, "content-length")
    tag = {"If-None-Match": whole.headers["etag"]}
    yield seen(f"{path}, not modified", http.get(path, headers=plain | tag), *names)
    for span in SPANS:
        answer = http.get(path, headers=plain | {"Range": f"bytes={span}"})
        kind = answer.headers.get("content-type", "").partition(";")[0]
        answer.headers["content-type"] = kind  # without the boundary
        yield seen(f"{path}, bytes {span}", answer, "content-range", without=BOUNDARY)


@pytest.fixture
def site(tmp_path: Path) -> Subject:
    """The application and its file."""
    directory = tmp_path / "site"
    directory.mkdir()
    lines = (f"line {number} of the page\n" for number in range(500))
    (directory / "page.txt").write_text("".join(lines))
    return Subject(APP, (*UVICORN, APP), visit, {"STARLETTE_SITE": str(directory)})


def test_a_visit_sees_what_the_reference_server_shows(tmp_path: Path, site: Subject) -> None:
    prove_visit(site, "asgi", tmp_path)


@pytest.mark.soak
def test_no_visitor_notices_a_reload_or_a_stop(tmp_path: Path, site: Subject) -> None:
    prove_life(site, "asgi", tmp_path)
