"""WebSockets with flask-sock, on a WSGI server."""

from typing import Any

from flask import Flask
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)


@app.get("/")
def hello() -> str:
    """What is no WebSocket."""
    return "hello"


@sock.route("/echo")
def echo(websocket: Any) -> None:
    """Send all back until the client closes."""
    while True:
        websocket.send(websocket.receive())
