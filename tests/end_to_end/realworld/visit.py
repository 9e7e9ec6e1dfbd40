"""One client's visit to an application: what it asks for, and what it must see.

A visit is a generator: it talks to the application with a real client and yields what it saw, one
`Seen` a step. The same visit is made to the reference server and to pyfork, and must see the same.
"""

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from types import TracebackType

import httpx

# Making a context takes longer than a request; nothing here is asked by TLS.
_NO_TLS = ssl.create_default_context()
_PATIENCE = 20.0  # seconds for one answer


class Restarted(Exception):
    """A connection that only a restart of the service may end has ended."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One step of a visit: its name, the status code, and what else must be the same."""

    step: str
    status: int = 200
    body: str | bytes = b""
    headers: tuple[str | None, ...] = ()

    def __str__(self) -> str:
        return f"{self.step}: {self.status} {self.headers} {len(self.body)} of {self.body[:200]!r}"


class Visitor:
    """A client with a name, cookies and, if ``kept``, connections that it keeps.

    Args:
        url: of the server.
        name: in every body this name is the same as every other visitor's.
        kept: whether connections are kept between requests.
    """

    def __init__(self, url: str, name: str, *, kept: bool = True) -> None:
        self.url = url
        self.name = name
        self.kept = kept
        self.http = httpx.Client(
            base_url=url,
            headers={} if kept else {"Connection": "close"},
            timeout=_PATIENCE,
            trust_env=False,
            verify=_NO_TLS,
        )

    @property
    def ws_url(self) -> str:
        """The address for WebSockets."""
        return self.url.replace("http", "ws", 1)

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    def seen(self, step: str, response: httpx.Response, *headers: str, without: str = "") -> Seen:
        """What a response shows.

        Args:
            step: a name for it.
            headers: names of fields that count; the content type always does.
            without: a pattern for the parts of the body that differ from time to time.
        """
        names = ("content-type", *headers)
        fields = tuple(self._anonymous(response.headers.get(each)) for each in names)
        body: str | bytes = response.content
        try:
            body = self._anonymous(response.content.decode()) or ""
        except UnicodeDecodeError:
            return Seen(step, response.status_code, body, fields)
        if without:
            body = re.sub(without, "-", body)
        return Seen(step, response.status_code, body, fields)

    def _anonymous(self, text: str | None) -> str | None:
        if text is None:
            return None
        address = self.url.partition("//")[2]
        return text.replace(self.name, "NAME").replace(address, "HOST")


Visit = Callable[[Visitor], Iterator[Seen]]


def make(visit: Visit, url: str, name: str = "first") -> list[Seen]:
    """What one visitor sees."""
    with Visitor(url, name) as visitor, closing(visit(visitor)) as steps:  # type: ignore[type-var]
        return list(steps)


def difference(expected: list[Seen], found: list[Seen]) -> str:
    """The first step that is not as expected, or nothing."""
    for ours, theirs in zip_longest(found, expected):
        if ours != theirs:
            return f"{ours}\n    instead of {theirs}{_first_difference(ours, theirs)}"
    return ""


def _first_difference(ours: Seen | None, theirs: Seen | None) -> str:
    """Where two bodies part."""
    if ours is None or theirs is None or ours.body == theirs.body:
        return ""
    pairs = enumerate(zip_longest(ours.body, theirs.body))
    place = max(0, next(place for place, (one, other) in pairs if one != other) - 40)
    parts = (each.body[place : place + 160] for each in (ours, theirs))
    return f"\n    from {place} on: {' / '.join(map(repr, parts))}"
