"""The routes in FastAPI; sleeping in a plain function uses its thread pool."""

import hashlib
import os
import time
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

from tests.apps.starlette_app import echo
from tests.apps.wsgi import chunks

app = FastAPI(default_response_class=PlainTextResponse)
app.websocket("/ws")(echo)


@app.api_route("/", methods=["GET", "HEAD"])
async def hello() -> PlainTextResponse:
    return PlainTextResponse("hello from fastapi", headers={"X-Pid": str(os.getpid())})


@app.post("/form")
async def form(name: Annotated[str, Form()]) -> str:
    return name


@app.post("/upload", response_model=None)
async def upload(request: Request) -> Any:
    digest, length = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        length += len(chunk)
    return PlainTextResponse(f'{{"sha256": "{digest.hexdigest()}", "length": {length}}}')


@app.get("/stream")
async def stream(n: int) -> StreamingResponse:
    return StreamingResponse(chunks(n), media_type="text/plain")


@app.get("/slow")
def slow(s: float) -> str:
    time.sleep(s)
    return "slept"


@app.get("/boom")
async def boom() -> str:
    raise RuntimeError("boom")
