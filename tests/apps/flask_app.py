"""The routes in Flask."""

import hashlib
import os
import time
from typing import Any

from flask import Flask, Response, request

from tests.apps.wsgi import chunks

app = Flask(__name__)


@app.get("/")
def hello() -> Response:
    return Response("hello from flask", headers={"X-Pid": str(os.getpid())})


@app.post("/form")
def form() -> str:
    return request.form["name"]


@app.post("/upload")
def upload() -> dict[str, Any]:
    digest, length = hashlib.sha256(), 0
    while chunk := request.stream.read(65536):
        digest.update(chunk)
        length += len(chunk)
    return {"sha256": digest.hexdigest(), "length": length}


@app.get("/stream")
def stream() -> Response:
    return Response(chunks(int(request.args["n"])))


@app.get("/slow")
def slow() -> str:
    time.sleep(float(request.args["s"]))
    return "slept"


@app.get("/boom")
def boom() -> str:
    raise RuntimeError("boom")
