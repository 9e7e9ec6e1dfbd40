"""WebSockets on WSGI: flask-sock."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.end_to_end.realworld.proof import Subject, prove_life
from tests.end_to_end.realworld.reference import GUNICORN
from tests.end_to_end.realworld.visit import Seen, Visitor

pytestmark = pytest.mark.soak

APPS = "tests.end_to_end.realworld.apps"
# Every connection has a thread for as long as it lasts.
THREADS = ("--threads", "80")


def visit_echo(visitor: Visitor) -> Iterator[Seen]:
    """A page, and messages of every size."""
    yield visitor.seen("page", visitor.http.get("/"))
    with connect(f"{visitor.ws_url}/echo", proxy=None) as websocket:
        for message in ("hello", "é" * 70000, b"\x00\xff" * 10):
            websocket.send(message)
            yield Seen(f"echo of {len(message)}", body=websocket.recv(15))


def test_flask_sock(tmp_path: Path) -> None:
    pytest.importorskip("flask_sock")
    app = f"{APPS}.flask_echo:app"
    subject = Subject(app, (*GUNICORN, *THREADS, app), visit_echo, options=THREADS)
    prove_life(subject, "thread", tmp_path)
