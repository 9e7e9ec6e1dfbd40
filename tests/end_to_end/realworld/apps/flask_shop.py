"""Flask with SQLAlchemy's scoped_session, async views, uploads, downloads and streams.

The session belongs to the thread, and is removed at the end of each request, as SQLAlchemy's and
Flask's documentation have it. The database is the file that FLASK_SHOP names.
"""

import asyncio
import hashlib
import io
import os
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, abort, request, send_file, session, stream_with_context
from sqlalchemy import ForeignKey, create_engine, delete, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
    relationship,
    scoped_session,
    sessionmaker,
)

PRODUCTS = 60

app = Flask(__name__)
app.secret_key = "for tests"
engine = create_engine(f"sqlite:///{os.environ['FLASK_SHOP']}", connect_args={"timeout": 20})
Session = scoped_session(sessionmaker(engine))


class Base(DeclarativeBase):
    """All tables."""


class Product(Base):
    """Something on sale."""

    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Note(Base):
    """A remark of a visitor."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[str] = mapped_column(index=True)
    text: Mapped[str]
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    product: Mapped[Product] = relationship()


def prepare() -> None:
    """Make the database and its content."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    Base.metadata.create_all(engine)
    Session.add_all(Product(name=f"Product {number}") for number in range(PRODUCTS))
    Session.commit()
    Session.remove()


@app.teardown_appcontext
def remove_session(error: BaseException | None) -> None:
    """Give the connection back."""
    Session.remove()


@app.get("/")
def catalogue() -> dict[str, Any]:
    """Some products, and how often this client has asked."""
    session["visits"] = session.get("visits", 0) + 1
    names = Session.scalars(select(Product.name).order_by(Product.id).limit(5)).all()
    return {"products": list(names), "visits": session["visits"]}


@app.post("/notes/<author>")
def write(author: str) -> tuple[dict[str, Any], int]:
    """A note from a form."""
    product = Session.get(Product, request.form.get("product", type=int)) or abort(404)
    Session.add(Note(author=author, text=request.form["text"], product=product))
    Session.commit()
    return {"author": author}, 201


@app.get("/notes/<author>")
def read(author: str) -> list[Any]:
    """The notes of one author, whose products are loaded one by one."""
    notes = Session.scalars(select(Note).where(Note.author == author).order_by(Note.id))
    return [[note.text, note.product.name] for note in notes]


@app.delete("/notes/<author>")
def forget(author: str) -> tuple[str, int]:
    """Remove them."""
    Session.execute(delete(Note).where(Note.author == author))
    Session.commit()
    return "", 204


@app.get("/export")
def export() -> Response:
    """Each product is asked for while the response is on its way."""

    @stream_with_context
    def rows() -> Iterator[str]:
        for number in range(1, PRODUCTS + 1):
            product = Session.get(Product, number)
            assert product
            yield f"{product.id},{product.name}\n"

    return Response(rows(), mimetype="text/csv")


@app.get("/sleep")
async def sleep() -> dict[str, float]:
    """An asynchronous view."""
    await asyncio.gather(asyncio.sleep(0.01), asyncio.sleep(0.01))
    return {"slept": 0.01}


@app.get("/run")
def run() -> dict[str, str]:
    """A view that runs an event loop of its own."""

    async def answer() -> str:
        await asyncio.sleep(0)
        return "ran"

    return {"asyncio": asyncio.run(answer())}


@app.post("/upload")
def upload() -> dict[str, Any]:
    """The digest of a file."""
    file = request.files["file"]
    return {"name": file.filename, "sha256": hashlib.sha256(file.read()).hexdigest()}


@app.get("/memory")
def memory() -> Response:
    """A file that is made in memory, or ranges of it."""
    content = io.BytesIO(bytes(range(256)) * 1024)
    return send_file(content, "application/octet-stream", download_name="a.bin", conditional=True)


@app.get("/file")
def file() -> Response:
    """A file of the disk, or ranges of it."""
    return send_file(__file__, "text/plain", conditional=True)


@app.get("/boom")
def boom() -> str:
    """An error of the application."""
    raise RuntimeError("boom")
