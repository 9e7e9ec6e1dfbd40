"""A Django project: on WSGI as with gunicorn, on ASGI as with uvicorn."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.end_to_end.realworld.proof import Subject, prove_life, prove_visit
from tests.end_to_end.realworld.reference import GUNICORN_THREADS, UVICORN
from tests.end_to_end.realworld.visit import Seen, Visitor

SHOP = "tests.end_to_end.realworld.apps.shop"
FILE = bytes(range(256)) * 1000
# What is another value each time: tokens, times, and how long ago something was.
TOKEN = r'(?<=value=")[A-Za-z0-9]{64}(?=")'


def visit(visitor: Visitor) -> Iterator[Seen]:
    """What any worker serves."""
    http, seen = visitor.http, visitor.seen
    http.cookies.clear()
    for step in ("first", "second"):
        yield seen(f"catalogue, {step}", http.get("/"))
    yield seen("notes, before", http.get("/notes/"), "location")
    yield seen("login", http.get("/login/"), without=TOKEN)
    yield seen("logged in", log_in(visitor), "location")
    yield from write_notes(visitor)
    yield seen("upload", post(visitor, "/upload/", {}, files={"file": ("a.bin", FILE)}))
    yield seen("async view", http.get("/cheapest/"))
    yield seen("export", http.get("/export/"))
    yield seen("archive", http.get("/archive/"), "content-disposition", "content-length")
    yield seen("admin", http.get("/admin/"), without=TOKEN)
    yield seen("admin, products", http.get("/admin/shop/product/?q=Product+00"), without=TOKEN)
    yield seen("not found", http.get("/nothing/"))
    if find_spec("whitenoise"):
        yield from read_static(visitor)


def visit_with_chat(visitor: Visitor) -> Iterator[Seen]:
    """The same, and a chat."""
    from websockets.sync.client import connect

    yield from visit(visitor)
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.http.cookies.items())
    address = f"{visitor.ws_url}/chat/{visitor.name}/"
    with connect(address, additional_headers={"Cookie": cookies}, proxy=None) as chat:
        for number in range(3):
            chat.send(json.dumps({"text": f"hello {number}"}))
            yield Seen(f"chat {number}", body=str(chat.recv(15)))


def write_notes(visitor: Visitor) -> Iterator[Seen]:
    """The form: refused, taken, and everything undone."""
    seen, page = visitor.seen, f"/notes/?author={visitor.name}"
    yield seen("note, empty", post(visitor, page, {"product": "1"}), without=TOKEN)
    for number in ("1", "2"):
        note = {"product": number, "text": f"from {visitor.name}"}
        yield seen(f"note {number}", post(visitor, page, note), "location")
    yield seen("notes, after", visitor.http.get(page), without=TOKEN)
    yield seen("forget", post(visitor, "/forget/", {"author": visitor.name}))


def read_static(visitor: Visitor) -> Iterator[Seen]:
    """A file that WhiteNoise serves: whole, in part, and not modified."""
    http, seen, names = visitor.http, visitor.seen, ("etag", "content-range")
    whole = http.get("/static/shop/style.css")
    yield seen("static", whole, *names)
    for span in ("0-9", "-7", "20-", "9999-"):
        part = http.get("/static/shop/style.css", headers={"Range": f"bytes={span}"})
        yield seen(f"static, bytes {span}", part, *names)
    tag = whole.headers["last-modified"]
    unchanged = http.get("/static/shop/style.css", headers={"If-Modified-Since": tag})
    yield seen("static, not modified", unchanged)


def log_in(visitor: Visitor):  # type: ignore[no-untyped-def]
    return post(visitor, "/login/", {"username": "ann", "password": "secret"})


def post(visitor: Visitor, path: str, data: dict[str, str], **more):  # type: ignore[no-untyped-def]
    token = {"csrfmiddlewaretoken": visitor.http.cookies["csrftoken"]}
    return visitor.http.post(path, data=data | token, **more)


def wsgi(env: dict[str, str]) -> Subject:
    return Subject(f"{SHOP}.wsgi", (*GUNICORN_THREADS, f"{SHOP}.wsgi"), visit, env)


def asgi(env: dict[str, str]) -> Subject:
    return Subject(f"{SHOP}.asgi", (*UVICORN, f"{SHOP}.asgi:application"), visit, env)


@pytest.mark.parametrize("kind", ["sync", "asgi"])
def test_a_visit_sees_what_the_reference_server_shows(
    tmp_path: Path, shop: dict[str, str], kind: str
) -> None:
    prove_visit((asgi if kind == "asgi" else wsgi)(shop), kind, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("age", ["0", "60"], ids=["closed", "persistent"])
@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_no_visitor_notices_a_reload_or_a_stop(
    tmp_path: Path, shop: dict[str, str], kind: str, age: str
) -> None:
    """With database connections that are closed after each request, and with persistent ones."""
    pytest.importorskip("whitenoise")
    prove_life(wsgi(shop | {"SHOP_CONN_MAX_AGE": age}), kind, tmp_path)


@pytest.mark.soak
def test_no_visitor_of_asgi_and_channels_notices_a_reload_or_a_stop(
    tmp_path: Path, shop: dict[str, str]
) -> None:
    pytest.importorskip("whitenoise")
    pytest.importorskip("channels")
    app = f"{SHOP}.chat"
    subject = Subject(app, (*UVICORN, f"{app}:application"), visit_with_chat, shop)
    prove_life(subject, "asgi", tmp_path)
