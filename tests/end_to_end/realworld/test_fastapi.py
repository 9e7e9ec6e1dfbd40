"""FastAPI: asynchronous SQLAlchemy, background tasks, events, WebSockets, uploads."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.end_to_end.realworld.proof import Subject, prove_life, prove_visit
from tests.end_to_end.realworld.reference import UVICORN
from tests.end_to_end.realworld.visit import Seen, Visitor
from tests.harness.server import PATIENCE, ROOT, environment

for package in ("sqlalchemy", "aiosqlite", "sse_starlette"):
    pytest.importorskip(package)

APP = "tests.end_to_end.realworld.apps.fastapi_shop"
FILE = bytes(range(256)) * 8000  # more than Starlette keeps in memory


def visit(visitor: Visitor) -> Iterator[Seen]:
    """All of it."""
    http, seen, notes = visitor.http, visitor.seen, f"/notes/{visitor.name}"
    yield seen("nothing left", http.delete(notes))
    for stars in (1, 5, 6):
        note = {"text": f"{stars} stars", "stars": stars}
        yield seen(f"note with {stars} stars", http.post(notes, json=note))
    yield seen("notes", http.get(notes))
    yield seen("export", http.get(f"/export/{visitor.name}"))
    yield seen("later", http.post(f"/later/{visitor.name}"))
    yield from wait_later(visitor)
    yield seen("events", http.get("/events"), "cache-control")
    form = {"title": "A file"}
    yield seen("upload", http.post("/upload", data=form, files={"file": ("a.bin", FILE)}))
    yield seen("thread", http.get("/threads"), "content-encoding", "vary")
    yield seen("missing", http.get("/missing"), "x-reason")
    yield seen("schema", http.get("/openapi.json"))
    yield from talk(visitor)
    yield seen("error", http.get("/boom"))  # after which uvicorn closes the connection


def wait_later(visitor: Visitor) -> Iterator[Seen]:
    """Wait for what a background task writes."""
    deadline = time.monotonic() + PATIENCE
    while "later" not in (answer := visitor.http.get(f"/notes/{visitor.name}")).text:
        assert time.monotonic() < deadline, "the background task has not run"
        time.sleep(0.02)
    yield visitor.seen("notes of a background task", answer)


def talk(visitor: Visitor) -> Iterator[Seen]:
    """A WebSocket with a subprotocol."""
    address = f"{visitor.ws_url}/echo/{visitor.name}"
    with connect(address, subprotocols=["echo"], proxy=None) as websocket:  # type: ignore[list-item]
        yield Seen("subprotocol", body=str(websocket.subprotocol))
        for text in ("hello", "é" * 40000):
            websocket.send(text)
            answer = str(websocket.recv(15)).replace(visitor.name, "NAME")
            yield Seen(f"echo of {len(text)}", body=answer)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The application, with a database that is ready."""
    env = {"FASTAPI_SHOP": str(tmp_path_factory.mktemp("fastapi") / "shop.sqlite3")}
    command = f"import asyncio; from {APP} import prepare; asyncio.run(prepare())"
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, env=environment() | env, check=True)
    return Subject(f"{APP}:app", (*UVICORN, f"{APP}:app"), visit, env, errors=True)


def test_a_visit_sees_what_the_reference_server_shows(tmp_path: Path, shop: Subject) -> None:
    prove_visit(shop, "asgi", tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["asgi", "asgi-asyncio"])
def test_no_visitor_notices_a_reload_or_a_stop(tmp_path: Path, shop: Subject, kind: str) -> None:
    prove_life(shop, kind, tmp_path)
