"""A Flask application: SQLAlchemy's scoped_session, views of both kinds, files."""

import asyncio
import io
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, send_file
from sqlalchemy import Integer, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

DIRECTORY = Path(os.environ.get("PROJECT", "."))
CONTENT = bytes(range(256)) * 1000

app = Flask(__name__)
engine = create_engine(f"sqlite:///{DIRECTORY}/flask.sqlite3")
Session = scoped_session(sessionmaker(engine))


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    text: Mapped[str] = mapped_column(String(20))


def prepare() -> None:
    Base.metadata.create_all(engine)
    with Session.begin():
        Session.add_all(Row(text=f"row {number}") for number in range(60))
    Session.remove()
    (DIRECTORY / "file.bin").write_bytes(CONTENT)


@app.route("/export")
def export() -> Response:
    """The session is closed when the response is: after each request, with its thread's."""

    def rows() -> Iterator[str]:
        for row in Session.scalars(select(Row).order_by(Row.id).execution_options(yield_per=5)):
            time.sleep(0.002)
            yield f"{row.text}\n"

    response = Response(rows(), mimetype="text/csv")
    response.call_on_close(Session.remove)
    return response


@app.route("/count")
def count() -> str:
    try:
        return str(len(Session.scalars(select(Row)).all()))
    finally:
        Session.remove()


@app.route("/async")
async def asynchronous() -> str:
    await asyncio.sleep(0)
    return "async"


@app.route("/pdf")
def pdf() -> Any:
    return send_file(io.BytesIO(CONTENT), download_name="report.pdf", conditional=True)


@app.route("/disk")
def disk() -> Any:
    return send_file(DIRECTORY / "file.bin", conditional=True)


@app.route("/member")
def member() -> Any:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("member", CONTENT)
    return send_file(zipfile.ZipFile(archive).open("member"), mimetype="image/png")


if __name__ == "__main__":
    prepare()
