"""A request that the server refused before it could be read, as the access log tells of it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyfork.http.connection import Connection
    from pyfork.http.request import Fields


class _Unread:
    """Stands for a request line, or a block of fields."""

    logged: list[object] | None = None


class _Unseen:
    """Stands for both."""

    logged: str | None = None


class Refused:
    """What `log.atoms.Access` asks for; what is not known is "-"."""

    method = target = "-"
    version = "1.1"
    elapsed = 0.0
    environ: object = None

    def __init__(self, connection: "Connection", status: int, length: int) -> None:
        """``length``: bytes of content that said why."""
        self.client = connection.peer_host
        self.scheme = connection.scheme
        self.status = status
        self.length = length
        self.request_headers: Fields = []
        self.response_headers: Fields = []
        self.line = _Unread()
        self.block = _Unread()
        self.head = _Unseen()
