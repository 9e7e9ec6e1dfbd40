"""Django REST framework over the same Django project."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.realworld.proof import Subject, prove_life
from tests.end_to_end.realworld.reference import GUNICORN_THREADS
from tests.end_to_end.realworld.visit import Seen, Visitor

pytestmark = pytest.mark.soak

pytest.importorskip("rest_framework")
pytest.importorskip("whitenoise")

APP = "tests.end_to_end.realworld.apps.shop.wsgi"
ANN = ("ann", "secret")
JSON = {"Content-Type": "application/json"}
TOKEN = r"[A-Za-z0-9]{32,64}"


def visit(visitor: Visitor) -> Iterator[Seen]:
    """The root, pages, the browsable API, validation, and a note from its making to its end."""
    http, seen, mine = visitor.http, visitor.seen, f"/api/notes/?author={visitor.name}"
    http.cookies.clear()
    for path in ("/api/", "/api/products/?page=2", "/api/products/7/", "/api/products/999/"):
        yield seen(path, http.get(path), "allow", "vary")
    page = http.get("/api/products/", headers={"Accept": "text/html"})
    yield seen("browsable", page, without=TOKEN)
    yield seen("no user", http.get(mine), "www-authenticate")
    yield seen("invalid", http.post("/api/notes/", json={"product": 999}, auth=ANN))
    yield seen("no JSON", http.post("/api/notes/", content=b"{", headers=JSON, auth=ANN))
    note = {"product": 3, "author": visitor.name, "text": "good"}
    made = http.post("/api/notes/", json=note, auth=ANN)
    address = f"/api/notes/{made.json()['id']}/"
    yield Seen("made", made.status_code, str(sorted(made.json())))
    changed = http.patch(address, json={"text": "better"}, auth=ANN).json()
    yield Seen("changed", body=f"{changed['text']} {changed['product']}")
    yield seen("removed", http.delete(address, auth=ANN))
    yield seen("nothing left", http.get(mine, auth=ANN))
    yield seen("options", http.options("/api/notes/", auth=ANN), "allow")


@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_no_client_notices_a_reload_or_a_stop(
    tmp_path: Path, shop: dict[str, str], kind: str
) -> None:
    prove_life(Subject(APP, (*GUNICORN_THREADS, APP), visit, shop), kind, tmp_path)
