"""``--request-id``: the application, the client and the log get one id for each request."""

import json
import re
import time
from pathlib import Path
from uuid import UUID

import pytest
from websockets.sync.client import connect

from pyfork.http.request_ids import uuid7
from tests.harness.server import Server

WSGI = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise RuntimeError("no database")
    start_response("200 OK", [("X-Request-Id", "of the application")])
    return [environ["HTTP_X_REQUEST_ID"].encode()]
"""

ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    (request_id,) = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": request_id.decode()})
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/fails":
        raise RuntimeError("no database")
    more = scope["path"] == "/pieces"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": request_id, "more_body": more})
    if more:
        await send({"type": "http.response.body"})
"""

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("code", "options"),
    [(WSGI, ()), (WSGI, ("--threads", "2")), (ASGI, ())],
    ids=["sync", "thread", "asgi"],
)
def test_application_client_and_log_have_the_id(
    tmp_path: Path, code: str, options: tuple[str, ...]
) -> None:
    (tmp_path / "shop.py").write_text(code)
    logged = ("--access-logfile", "-", "--access-logformat", "json")
    with Server(
        "shop:app", "--request-id", "X-Request-Id", *logged, *options,
        directory=tmp_path, cwd=tmp_path,
    ) as server:  # fmt: skip
        given = server.get("/pieces", **{"X-Request-Id": "abc-1", "traceparent": TRACE})
        invalid = server.get("/", **{"X-Request-Id": 'a "b"'})
        made = [server.get("/") for _ in range(2)]
        failed = server.get("/fails", **{"X-Request-Id": "abc-2"})
        server.until(lambda: server.out.count("\n") == 5, "all are logged")
        entries = [json.loads(line) for line in server.out.splitlines()]
        assert "error in the application at GET /fails, request abc-2" in server.log
    answers = [given, invalid, *made, failed]
    ids = [answer.headers.get_all("X-Request-Id") for answer in answers]
    assert all(each and len(each) == 1 for each in ids)
    assert [entry["request_id"] for entry in entries] == [each[0] for each in ids if each]
    assert given.body == b"abc-1"
    assert ids[0] == ["abc-1"]
    assert [UUID(answer.body.decode()).version for answer in (invalid, *made)] == [7, 7, 7]
    assert made[0].body != made[1].body
    assert (failed.status, ids[4]) == (500, ["abc-2"])
    assert [entry["traceparent"] for entry in entries] == [TRACE, None, None, None, None]


def test_an_untrusted_client_is_not_believed_and_a_websocket_has_an_id(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(ASGI)
    with Server(
        "shop:app", "--request-id", "X-Request-Id", "--access-logfile", "-",
        "--forwarded-allow-ips", "192.0.2.1", directory=tmp_path, cwd=tmp_path,
    ) as server:  # fmt: skip
        answer = server.get("/", **{"X-Request-Id": "abc-1", "traceparent": TRACE})
        url = f"ws://127.0.0.1:{server.port}/"
        with connect(url, additional_headers={"X-Request-Id": "abc-2"}) as client:
            request_id = client.recv()
            assert client.response
            assert client.response.headers["x-request-id"] == request_id
        server.until(lambda: TRACE in server.out, "it is logged")
        assert f'"{answer.headers["X-Request-Id"]}" "{TRACE}"' in server.out
    assert UUID(answer.body.decode()).version == UUID(str(request_id)).version == 7


def test_without_it_nothing_is_added(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(WSGI)
    with Server("shop:app", directory=tmp_path, cwd=tmp_path) as server:
        answer = server.get("/", **{"X-Request-Id": "abc-1"})
    assert answer.body == b"abc-1"
    assert answer.headers.get_all("X-Request-Id") == ["of the application"]


def test_a_field_that_frames_a_message_is_no_id(tmp_path: Path) -> None:
    for name in ("Content-Length", "a b", "X_Id"):
        with Server(
            "shop:app", "--request-id", name, directory=tmp_path, ready=False, clean=False
        ) as server:
            assert server.wait() == 2
            assert re.search("request.id", server.log)


def test_uuid7_is_of_now_and_orders_by_time() -> None:
    before = time.time_ns() // 1_000_000
    made = [UUID(uuid7()) for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert all(before <= each.int >> 80 <= after for each in made)
    assert {(each.version, each.variant) for each in made} == {(7, "specified in RFC 4122")}
    assert len(set(made)) == 1000
