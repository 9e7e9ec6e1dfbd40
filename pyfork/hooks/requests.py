"""The arguments of pre_request and post_request: a request and its response, read only."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any


class HookRequest:
    """One request. Both hooks get the same object, and may add attributes."""

    def __init__(
        self,
        *,
        method: str,
        uri: str,
        version: str,
        headers: Iterable[tuple[str, str]],
        remote_addr: str,
        scheme: str,
    ) -> None:
        self.method = method
        self.uri = uri  # as sent
        self.path, _, self.query = uri.partition("?")  # percent-encoded
        self.version = tuple(int(part) for part in version.split("."))
        self.headers = list(headers)  # names in upper case
        self.remote_addr = remote_addr  # the client's address as the application sees it
        self.scheme = scheme

    @classmethod
    def of_environ(cls, environ: Mapping[str, Any]) -> "HookRequest":
        """Make the request of a WSGI environ."""
        query = environ.get("QUERY_STRING")
        uri = environ.get("PATH_INFO", "") + (f"?{query}" if query else "")
        return cls(
            method=environ["REQUEST_METHOD"],
            uri=environ.get("RAW_URI", uri),  # missing under -k uvicorn
            version=environ["SERVER_PROTOCOL"].rpartition("/")[2],
            headers=[
                (name.removeprefix("HTTP_").replace("_", "-"), value)
                for name, value in environ.items()
                if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
            ],
            remote_addr=environ.get("REMOTE_ADDR", ""),
            scheme=environ["wsgi.url_scheme"],
        )

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any]) -> "HookRequest":
        """Make the request of an ASGI scope."""
        target = scope.get("raw_path") or scope["path"].encode()
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        return cls(
            method=scope["method"],
            uri=target.decode("latin-1"),
            version=scope["http_version"],
            headers=[
                (name.decode("latin-1").upper(), value.decode("latin-1"))
                for name, value in scope["headers"]
            ],
            remote_addr=(scope.get("client") or ("",))[0],
            scheme=scope["scheme"],
        )

    def __str__(self) -> str:
        return f"{self.method} {self.uri}"


def _text(part: bytes | str) -> str:
    """Return a field as text; an application may use bytes or text."""
    return part if isinstance(part, str) else part.decode("latin-1")


class HookResponse:
    """One response."""

    def __init__(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], sent: int | None = None
    ) -> None:
        self.status_code = status  # 0: there was no response
        self.headers = [(_text(name), _text(value)) for name, value in headers]
        self.sent = sent  # bytes of content; None if they are not counted

    @property
    def status(self) -> str:
        """The status line, such as "200 OK"."""
        try:
            return f"{self.status_code} {HTTPStatus(self.status_code).phrase}"
        except ValueError:
            return str(self.status_code)
