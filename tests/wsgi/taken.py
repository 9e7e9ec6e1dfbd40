"""An application that takes the connection, sends a line on it, and raises what its path names."""

import errno
from collections.abc import Callable
from typing import Any

from simple_websocket import ConnectionClosed

ENDS: dict[str, Callable[[], BaseException]] = {
    "/stop-iteration": StopIteration,
    "/connection": ConnectionError,
    "/reset": ConnectionResetError,
    "/broken-pipe": BrokenPipeError,
    "/bare": OSError,
    "/bad-descriptor": lambda: OSError(errno.EBADF, "bad file descriptor"),
    "/not-connected": lambda: OSError(errno.ENOTCONN, "not connected"),
    "/simple-websocket": lambda: ConnectionClosed(1006),
}
FAILURES: dict[str, Callable[[], BaseException]] = {
    "/refused": ConnectionRefusedError,
    "/no-file": FileNotFoundError,
    "/no-time": TimeoutError,
    "/runtime": RuntimeError,
    "/exit": SystemExit,
}
LARGE = 32_000_000  # bytes, more than the kernel takes at once


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    path = environ["PATH_INFO"]
    if path.startswith("/not-taken"):
        raise ConnectionResetError
    client = environ["gunicorn.socket"]
    if path == "/large":
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (LARGE, b"x" * LARGE)
        assert client.send(answer) == len(answer)
        raise StopIteration
    client.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    raise (ENDS | FAILURES)[path]()
