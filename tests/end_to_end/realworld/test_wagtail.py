"""A wagtail site, as with gunicorn."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.end_to_end.realworld.proof import Subject, prove_life, prove_visit
from tests.end_to_end.realworld.reference import GUNICORN_THREADS
from tests.end_to_end.realworld.visit import Seen, Visitor
from tests.harness.server import ROOT, environment

pytestmark = pytest.mark.soak

pytest.importorskip("wagtail")

PAGES = "tests.end_to_end.realworld.apps.pages"
# Tokens, identifiers that are made anew for each page, and how long ago something was.
MADE_ANEW = (
    r'(?<=value=")[A-Za-z0-9]{64}(?=")|[A-Za-z0-9]{64}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}'
    r"|\d+\s(?:second|minute)s?(?:, \d+\sseconds?)? ago|Just now"
)


def visit(visitor: Visitor) -> Iterator[Seen]:
    """Pages, a document, a login, and a report as a workbook."""
    http, seen = visitor.http, visitor.seen
    http.cookies.clear()
    for path in ("/", "/article-7/", "/nothing/"):
        yield seen(path, http.get(path))
    document = http.get("/documents/1/a.pdf")
    yield seen("document", document, "content-disposition", "content-length", "etag")
    yield seen("admin, before", http.get("/admin/"), "location")
    http.get("/admin/login/")
    login = {"username": "ann", "password": "secret", "next": "/admin/reports/site-history/"}
    yield seen("logged in", post(visitor, "/admin/login/", login), "location")
    answer = http.get("/admin/reports/site-history/?export=xlsx")
    yield replace(seen("report", answer, "content-disposition"), body=sheet(answer.content))


def visit_admin(visitor: Visitor) -> Iterator[Seen]:
    """And pages of the admin, which take a worker longer than all of that."""
    yield from visit(visitor)
    http, seen = visitor.http, visitor.seen
    yield seen("explorer", http.get("/admin/pages/3/"), without=MADE_ANEW)
    yield seen("search", http.get("/admin/pages/search/?q=Article+1"), without=MADE_ANEW)
    answer = http.get("/admin/reports/site-history/?export=csv")
    yield seen("report, csv", answer, "content-disposition")


def sheet(content: bytes) -> bytes:
    """The cells of a workbook, which has the time of its making elsewhere."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        return book.read("xl/worksheets/sheet1.xml")


def post(visitor: Visitor, path: str, data: dict[str, str]):  # type: ignore[no-untyped-def]
    token = {"csrfmiddlewaretoken": visitor.http.cookies["csrftoken"]}
    return visitor.http.post(path, data=data | token)


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A site that is ready to serve."""
    # Its templates write sets, in the order of their hashes.
    env = {"PAGES_DIRECTORY": str(tmp_path_factory.mktemp("pages")), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", f"{PAGES}.prepare"]
    subprocess.run(command, cwd=ROOT, env=environment() | env, check=True)
    return Subject(f"{PAGES}.wsgi", (*GUNICORN_THREADS, f"{PAGES}.wsgi"), visit, env)


@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_no_visitor_notices_a_reload_or_a_stop(tmp_path: Path, pages: Subject, kind: str) -> None:
    prove_life(pages, kind, tmp_path)


@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_the_admin(tmp_path: Path, pages: Subject, kind: str) -> None:
    prove_visit(replace(pages, visit=visit_admin), kind, tmp_path)
