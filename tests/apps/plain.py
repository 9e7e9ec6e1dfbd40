"""One small application in WSGI and in ASGI: it counts what reaches it, and sends bodies back.

GET /seen tells how often each target was asked for, GET /pid who answers. Other paths answer with
the request's body; the query may ask for more: status=N, field=NAME:VALUE, bytes=N (a body of its
own), unread=1 (the request's body is left alone).
"""

import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

seen: Counter[str] = Counter()

Query = dict[str, list[str]]


def head(query: Query) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Status and fields that the query asks for."""
    fields = [field.partition(":") for field in query.get("field", ())]
    status = int(query.get("status", ["200"])[0])
    return status, [(name.encode("latin-1"), value.encode("latin-1")) for name, _, value in fields]


def content(path: str, query: Query, body: bytes) -> bytes:
    """The response's."""
    if path == "/seen":
        return json.dumps(seen).encode()
    if path == "/pid":
        return str(os.getpid()).encode()
    return b"x" * int(query["bytes"][0]) if "bytes" in query else body


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    path, query = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"], encoding="latin-1")
    seen[path] += 1
    body = b"" if "unread" in query else environ["wsgi.input"].read()
    status, fields = head(query)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
    start_response(f"{status} Because", headers)
    return [content(path, query, body)]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    assert scope["type"] == "http"
    path, query = scope["path"], parse_qs(scope["query_string"].decode(), encoding="latin-1")
    seen[path] += 1
    body, more = b"", "unread" not in query
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            seen["disconnected " + path] += 1
            return
        body += message["body"]
        more = message["more_body"]
    status, fields = head(query)
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": content(path, query, body)})
