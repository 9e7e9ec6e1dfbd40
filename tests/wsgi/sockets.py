"""A Flask application with WebSockets by flask-sock, and one that asks the socket something."""

from typing import Any

from flask import Flask, request
from flask_sock import Sock

app = Flask(__name__)
app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}
sock = Sock(app)


@sock.route("/echo")
def echo(ws: Any) -> None:
    while (data := ws.receive()) != "end":
        ws.send(data)


@sock.route("/fails")
def fails(ws: Any) -> None:
    ws.send("about to fail")
    raise RuntimeError("failed in a WebSocket")


@app.route("/")
def index() -> str:
    return "index"


@app.route("/asks")
def asks() -> str:
    """Asks about the socket, and does not take it."""
    client = request.environ["gunicorn.socket"]
    return str(client.getpeername()[1] == int(request.environ["REMOTE_PORT"]))


@app.route("/late")
def late() -> Any:
    """Takes the socket when a response has begun."""

    def pieces() -> Any:
        yield "begun "
        try:
            request.environ["werkzeug.socket"].send(b"spoilt")
        except OSError as error:
            yield str(error)

    from flask import stream_with_context

    return stream_with_context(pieces())
