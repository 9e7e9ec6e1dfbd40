"""A request, as the error page shows it."""

from collections.abc import Mapping
from typing import Any

from pyfork.dev.errors.variables import MASK, is_secret
from pyfork.record import record


@record
class RequestInfo:
    """The head of a request."""

    method: str
    path: str
    query: str
    fields: tuple[tuple[str, str], ...]  # header fields, names in lower case

    @classmethod
    def of_environ(cls, environ: Mapping[str, Any]) -> "RequestInfo":
        """From WSGI."""
        fields = [
            (name[5:].replace("_", "-").lower(), str(value))
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        fields += [
            (name.replace("_", "-").lower(), str(environ[name]))
            for name in ("CONTENT_TYPE", "CONTENT_LENGTH")
            if environ.get(name)
        ]
        path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
        path = path.encode("latin-1", "replace").decode("utf-8", "replace")
        return cls(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), tuple(fields))

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any]) -> "RequestInfo":
        """From ASGI."""
        fields = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"])
        query = scope.get("query_string", b"").decode("latin-1")
        return cls(scope["method"], scope["path"], query, fields)

    def field(self, name: str) -> str:
        """The value of a header field; several values are joined."""
        return ",".join(value for key, value in self.fields if key == name)

    def shown(self) -> list[tuple[str, str]]:
        """Rows for the page: secrets are masked."""
        rows = [("method", self.method), ("path", self.path)]
        rows += [("query", self.query)] if self.query else []
        return rows + [(name, MASK if is_secret(name) else value) for name, value in self.fields]
