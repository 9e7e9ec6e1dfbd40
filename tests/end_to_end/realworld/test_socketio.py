"""Socket.IO with its own client: python-socketio on ASGI, Flask-SocketIO in threading mode."""

import gc
import select
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.realworld.proof import Subject, prove_life, prove_visit
from tests.end_to_end.realworld.reference import UVICORN
from tests.end_to_end.realworld.visit import Restarted, Seen, Visitor

pytestmark = [
    pytest.mark.soak,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

socketio = pytest.importorskip("socketio")
pytest.importorskip("requests")
pytest.importorskip("websocket")

APPS = "tests.end_to_end.realworld.apps"
PATIENCE = 5  # seconds for one answer


def visit(visitor: Visitor) -> Iterator[Seen]:
    """A page, and a room by WebSocket."""
    yield visitor.seen("page", visitor.http.get("/"))
    yield from talk(visitor, "websocket")


def visit_by_upgrade(visitor: Visitor) -> Iterator[Seen]:
    """The same, and by requests that wait, from which the client goes on to a WebSocket."""
    yield from visit(visitor)
    yield from talk(visitor, "polling", "websocket")


def talk(visitor: Visitor, *transports: str) -> Iterator[Seen]:
    """Enter a room of one's own and speak there."""
    name = "+".join(transports)
    with socketio.SimpleClient(reconnection=False) as client:
        try:
            client.connect(visitor.url, transports=transports, wait_timeout=PATIENCE)
            yield Seen(f"{name}, transport", body=client.transport)
            joined = client.call("join", {"room": visitor.name}, timeout=PATIENCE)
            yield Seen(f"{name}, joined", body=str(joined).replace(visitor.name, "NAME"))
            for number in range(3):
                client.emit("say", {"room": visitor.name, "text": str(number)})
                yield Seen(f"{name}, said", body=str(client.receive(timeout=PATIENCE)))
        except (socketio.exceptions.SocketIOError, ValueError) as error:
            # The second is what the client makes of a close frame where it expects its session.
            if not has_ended(client):
                raise
            raise Restarted from error


def has_ended(client: Any) -> bool:
    """Whether the connection has ended.

    engineio's client takes the end of its queue for one of the packets that wait with it, and
    notices 30 s later.
    """
    if not client.client.connected:
        return True
    connection = client.client.eio.ws.sock
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What the client leaves to the collector is collected while its warnings are ignored."""
    yield
    gc.collect()


def asgi() -> Subject:
    """With one worker, since rooms are in the memory of a process."""
    app = f"{APPS}.rooms:app"
    return Subject(app, (*UVICORN, app), visit, options=("-w", "1"))


def threading() -> Subject:
    """Each connection has a thread for as long as it lasts.

    Now and then simple-websocket closes the socket under engineio's writer, on gunicorn too.
    """
    app = f"{APPS}.flask_rooms"
    options = ("-w", "1", "--threads", "80")
    noise = ("(writer):", "Traceback")
    return Subject(f"{app}:app", ("-m", app), visit, options=options, noise=noise)


def test_python_socketio_after_an_upgrade(tmp_path: Path) -> None:
    prove_visit(replace(asgi(), visit=visit_by_upgrade), "asgi", tmp_path)


def test_python_socketio(tmp_path: Path) -> None:
    prove_life(asgi(), "asgi", tmp_path)


def test_flask_socketio_after_an_upgrade(tmp_path: Path) -> None:
    pytest.importorskip("flask_socketio")
    prove_visit(replace(threading(), visit=visit_by_upgrade), "thread", tmp_path)


def test_flask_socketio(tmp_path: Path) -> None:
    pytest.importorskip("flask_socketio")
    prove_life(threading(), "thread", tmp_path)
