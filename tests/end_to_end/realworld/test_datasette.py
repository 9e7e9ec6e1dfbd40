"""Datasette, as with `datasette serve`."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.realworld.proof import Subject, prove_life
from tests.end_to_end.realworld.visit import Seen, Visitor

pytestmark = pytest.mark.soak

pytest.importorskip("datasette")

ROWS = 2000
PATHS = (
    "/",
    "/tables",
    "/tables/product",
    "/tables/product/7",
    "/tables/product.json?_size=50&_shape=objects&_sort_desc=cents",
    "/tables/product.json?_shape=array&name__contains=11",
    "/tables.json?sql=select+count(*)+as+n,sum(cents)+from+product",
    "/tables.json?sql=select+nonsense",
    "/tables/product.csv?_stream=on",
    "/-/settings.json",
    "/-/static/app.css",
    "/tables.db",
    "/nothing",
)
# How long a query took, and how many rows there are, which datasette counts for 10 ms at most.
TIMES = r'[\d.]+ms|"query_ms": [\d.]+|Many rows|[\d,]+ rows'


def visit(visitor: Visitor) -> Iterator[Seen]:
    """Pages, JSON, a stream of CSV, a file and errors."""
    for path in PATHS:
        yield visitor.seen(path, visitor.http.get(path), "etag", "link", without=TIMES)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A database."""
    path = tmp_path / "tables.db"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT, cents INT)")
        rows = ((f"Product {number}", number * 37 % 1000) for number in range(ROWS))
        connection.executemany("INSERT INTO product (name, cents) VALUES (?, ?)", rows)
    connection.close()
    return path


def test_no_visitor_notices_a_reload_or_a_stop(tmp_path: Path, tables: Path) -> None:
    reference = ("-m", "datasette", "serve", str(tables), "-p", "0")
    env = {"TABLES": str(tables)}
    subject = Subject("tests.end_to_end.realworld.apps.tables:app", reference, visit, env)
    prove_life(subject, "asgi", tmp_path)
