"""What pre_request and post_request are given: a request and its response, read only."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any


class HookRequest:
    """One request. The same object is given before and after, and hooks may add to it."""

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
        self.uri = uri  # as it was sent
        self.path, _, self.query = uri.partition("?")  # still percent-encoded
        self.version = tuple(int(part) for part in version.split("."))
        self.headers = list(headers)  # names in capitals
        self.remote_addr = remote_addr  # the client's, as the application sees it
        self.scheme = scheme

    @classmethod
    def of_environ(cls, environ: Mapping[str, Any]) -> "HookRequest":
        """The request of a WSGI environ."""
        query = environ.get("QUERY_STRING")
        uri = environ.get("PATH_INFO", "") + (f"?{query}" if query else "")
        return cls(
            method=environ["REQUEST_METHOD"],
            uri=environ.get("RAW_URI", uri),  # -k uvicorn does not tell
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
        """The request of an ASGI scope."""
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
    """Of a field, as an application may give it."""
    return part if isinstance(part, str) else part.decode("latin-1")


class HookResponse:
    """What was answered."""

    def __init__(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], sent: int | None = None
    ) -> None:
        self.status_code = status  # 0: nothing was answered
        self.headers = [(_text(name), _text(value)) for name, value in headers]
        self.sent = sent  # bytes of content; None where they are not counted

    @property
    def status(self) -> str:
        """Such as "200 OK"."""
        try:
            return f"{self.status_code} {HTTPStatus(self.status_code).phrase}"
        except ValueError:
            return str(self.status_code)
