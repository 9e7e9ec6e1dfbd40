"""Flask-SocketIO in threading mode."""

from typing import Any

from flask import Flask
from flask_socketio import SocketIO, emit, join_room

app = Flask(__name__)
app.secret_key = "for tests"
socketio = SocketIO(app, async_mode="threading")


@app.get("/")
def hello() -> str:
    """What is not Socket.IO."""
    return "hello"


@socketio.on("join")
def join(message: dict[str, Any]) -> dict[str, Any]:
    """Enter a room; the answer is the acknowledgement."""
    join_room(message["room"])
    return {"joined": message["room"]}


@socketio.on("say")
def say(message: dict[str, Any]) -> None:
    """Tell all who are in the room."""
    emit("said", {"text": message["text"]}, to=message["room"])


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=0, allow_unsafe_werkzeug=True)
