"""Exceptions that applications cause or see.

They are here, and not with the code that raises them, because a compiled module cannot define them
(`docs/design.md`, "The compiled build").
"""


class ResponseError(Exception):
    """The application violated HTTP. If `build_response` raises it, there is no response yet."""


class NotBytes(ResponseError, TypeError):
    """Content is not bytes; the message has its type."""


class ClientGone(OSError):
    """Of WSGI: the client is gone, or got a response from the server."""


class ClientDisconnected(OSError):
    """Of ASGI's ``send``: the client has disconnected."""
