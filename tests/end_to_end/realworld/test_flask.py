"""Flask: scoped sessions, async views, files; WebSockets by flask-sock and Flask-SocketIO."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.realworld.proof import Subject, prove_life, prove_visit
from tests.end_to_end.realworld.reference import GUNICORN_THREADS
from tests.end_to_end.realworld.visit import Seen, Visitor
from tests.harness.server import ROOT, environment

pytest.importorskip("sqlalchemy")

APPS = "tests.end_to_end.realworld.apps"
FILE = bytes(range(256)) * 2000
SPANS = ("0-9", "-7", "262000-", "999999-")


def visit(visitor: Visitor) -> Iterator[Seen]:
    """What any worker serves."""
    http, seen, notes = visitor.http, visitor.seen, f"/notes/{visitor.name}"
    http.cookies.clear()
    for step in ("first", "second"):
        yield seen(f"catalogue, {step}", http.get("/"))
    for product in ("1", "2", "999"):
        note = {"product": product, "text": "good"}
        yield seen(f"note on product {product}", http.post(notes, data=note))
    yield seen("note without a field", http.post(notes, data={"product": "1"}))
    yield seen("notes", http.get(notes))
    yield seen("forget", http.delete(notes))
    yield seen("export", http.get("/export"))
    yield seen("async view", http.get("/sleep"))
    yield seen("a loop of its own", http.get("/run"))
    yield seen("upload", http.post("/upload", files={"file": ("a.bin", FILE)}))
    for path in ("/memory", "/file"):
        yield from read_ranges(visitor, path)
    yield seen("error", http.get("/boom"))
    yield seen("wrong method", http.put("/"))


def read_ranges(visitor: Visitor, path: str) -> Iterator[Seen]:
    """A file, whole and in part."""
    names = ("content-range", "content-disposition", "accept-ranges")
    yield visitor.seen(path, visitor.http.get(path), *names, "content-length")
    for span in SPANS:
        answer = visitor.http.get(path, headers={"Range": f"bytes={span}"})
        yield visitor.seen(f"{path}, bytes {span}", answer, *names)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The application, with a database that is ready."""
    app = f"{APPS}.flask_shop"
    env = {"FLASK_SHOP": str(tmp_path_factory.mktemp("flask") / "shop.sqlite3")}
    command = [sys.executable, "-c", f"from {app} import prepare; prepare()"]
    subprocess.run(command, cwd=ROOT, env=environment() | env, check=True)
    return Subject(f"{app}:app", (*GUNICORN_THREADS, f"{app}:app"), visit, env, errors=True)


def test_a_visit_sees_what_the_reference_server_shows(tmp_path: Path, shop: Subject) -> None:
    prove_visit(shop, "sync", tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_no_visitor_notices_a_reload_or_a_stop(tmp_path: Path, shop: Subject, kind: str) -> None:
    prove_life(shop, kind, tmp_path)
