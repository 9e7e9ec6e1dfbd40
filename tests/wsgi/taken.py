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


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    path = environ["PATH_INFO"]
    if path.startswith("/not-taken"):
        raise ConnectionResetError
    environ["gunicorn.socket"].sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    raise (ENDS | FAILURES)[path]()
