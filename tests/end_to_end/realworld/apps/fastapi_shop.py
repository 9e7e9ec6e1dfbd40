"""FastAPI with asynchronous SQLAlchemy, background tasks, events, WebSockets, uploads and streams.

The database is the file that FASTAPI_SHOP names; it is made at the start.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    Form,
    HTTPException,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sse_starlette import EventSourceResponse

# One connection, for which tasks wait in order. sqlite's lock has no order: of many connections
# that write, one may wait for longer than a client does.
engine = create_async_engine(
    f"sqlite+aiosqlite:///{os.environ['FASTAPI_SHOP']}",
    connect_args={"timeout": 20},
    pool_size=1,
    max_overflow=0,
)
new_session = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """All tables."""


class Note(Base):
    """A remark of a visitor."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[str] = mapped_column(index=True)
    text: Mapped[str]


class Written(BaseModel):
    """A note that a client sends."""

    text: str = Field(max_length=100)
    stars: int = Field(ge=0, le=5)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Connections are closed at the end."""
    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(Note)) is not None
    yield {"greeting": "hello"}
    await engine.dispose()


async def prepare() -> None:
    """Make the database."""
    async with engine.begin() as connection:
        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


async def session() -> AsyncIterator[AsyncSession]:
    """One for each request, closed when it is over."""
    async with new_session() as made:
        yield made


Database = Annotated[AsyncSession, Depends(session)]

app = FastAPI(lifespan=lifespan)
app.add_middleware(GZipMiddleware, minimum_size=500)


@app.post("/notes/{author}", status_code=201)
async def write(author: str, note: Written, database: Database) -> dict[str, str]:
    """A note from JSON, which is validated."""
    database.add(Note(author=author, text=note.text))
    await database.commit()
    return {"author": author}


@app.get("/notes/{author}")
async def read(author: str, database: Database) -> list[str]:
    """The notes of one author."""
    found = await database.scalars(select(Note).where(Note.author == author).order_by(Note.id))
    return [note.text for note in found]


@app.delete("/notes/{author}", status_code=204)
async def forget(author: str, database: Database) -> None:
    """Remove them."""
    await database.execute(delete(Note).where(Note.author == author))
    await database.commit()


@app.post("/later/{author}", status_code=202)
async def later(author: str, tasks: BackgroundTasks) -> dict[str, str]:
    """A note that is written after the response."""

    async def write_later() -> None:
        await asyncio.sleep(0.01)
        async with new_session.begin() as database:
            database.add(Note(author=author, text="later"))

    tasks.add_task(write_later)
    return {"accepted": author}


@app.get("/export/{author}")
async def export(author: str, database: Database) -> StreamingResponse:
    """The notes as they come from the database."""

    async def rows() -> AsyncIterator[str]:
        found = await database.stream_scalars(select(Note).where(Note.author == author))
        async for note in found:
            yield f"{note.text}\n"

    return StreamingResponse(rows(), media_type="text/plain")


@app.get("/events")
async def events() -> EventSourceResponse:
    """Server-sent events."""

    async def tick() -> AsyncIterator[dict[str, Any]]:
        for number in range(5):
            yield {"event": "tick", "id": str(number), "data": f"number {number}"}
            await asyncio.sleep(0.01)

    return EventSourceResponse(tick())


@app.post("/upload")
async def upload(file: UploadFile, title: Annotated[str, Form()]) -> dict[str, Any]:
    """The digest of a file."""
    digest = hashlib.sha256()
    while chunk := await file.read(65536):
        digest.update(chunk)
    return {"title": title, "size": file.size, "sha256": digest.hexdigest()}


@app.get("/threads")
def threads() -> dict[str, str]:
    """A plain function, which runs in a thread."""
    return {"text": "x" * 2000}


@app.get("/missing")
async def missing() -> None:
    """An error that is meant."""
    raise HTTPException(404, "there is no such thing", headers={"X-Reason": "none"})


@app.get("/boom")
async def boom() -> None:
    """An error of the application."""
    raise RuntimeError("boom")


@app.websocket("/echo/{name}")
async def echo(websocket: WebSocket, name: str) -> None:
    """Send all back, with the name, until the client closes."""
    await websocket.accept(subprotocol="echo")
    try:
        while True:
            await websocket.send_text(f"{name}: {await websocket.receive_text()}")
    except WebSocketDisconnect:
        pass
