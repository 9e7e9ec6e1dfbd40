"""The format of the access log: gunicorn's atoms, compiled once into a template and getters.

An atom such as ``%(h)s`` stands for a part of the request or response; a missing part is "-". Text
of a client is escaped, so that no request can forge a line or control the terminal.
"""

import base64
import binascii
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pyfork.errors import ConfigError

Headers = Sequence[tuple[bytes, bytes]]
Getter = Callable[["Access"], object]


class Cached(Protocol):
    """A request line or a block of fields, which several requests may share."""

    log_cache: list[object] | None  # the rendered parts that depend on it alone


class CachedHead(Protocol):
    """A head that several requests on one connection may share."""

    log_cache: str | None  # a template with all parts of the head; "" while it was seen once


class Access(Protocol):
    """One request and its response, as the access log needs them."""

    environ: Any  # of WSGI, if there is one
    length: int  # bytes of content sent
    queue_time: float | None  # seconds before the application began; None if not measured

    @property
    def client(self) -> str:
        """The client's address."""

    @property
    def method(self) -> str:
        """The method, such as GET."""

    @property
    def target(self) -> str:
        """The target as sent, percent-encoded."""

    @property
    def version(self) -> str:
        """The version, such as 1.1."""

    @property
    def status(self) -> int:
        """The status of the response; 0 for none."""

    @property
    def elapsed(self) -> float:
        """The duration in seconds."""

    @property
    def scheme(self) -> str:
        """ "http" or "https"."""

    @property
    def request_headers(self) -> Headers:
        """The fields of the request; names in lower case."""

    @property
    def response_headers(self) -> Headers:
        """The fields of the response, as sent."""

    @property
    def head(self) -> CachedHead:
        """The head, with line and block."""

    @property
    def line(self) -> Cached:
        """The request line, with method, target and version."""

    @property
    def block(self) -> Cached:
        """The block of request fields."""


class _Sample:
    """A request for a trial of a format."""

    client = method = target = ""
    version, scheme = "1.1", "http"
    status = length = 0
    elapsed = 0.0
    queue_time: float | None = None
    request_headers: Headers = ()
    response_headers: Headers = ()
    environ: Any = None

    def __init__(self) -> None:
        self.line = self.block = self.head = self
        self.log_cache: Any = None


class Clock:
    """The local time as text, rendered once a second."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._second = -1
        self._text = ""

    def __call__(self, access: object = None) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._text = time.strftime(self._form, time.localtime(second))
        return self._text


def needs_queue_time(form: str) -> bool:
    """Whether lines of the format ``form`` have the queue time of a request."""
    return form == "json" or "%(Q)" in form


def compile_format(text: str) -> Callable[[Access], str]:
    """Return a function that renders an `Access` by the format ``text``.

    Raises:
        ConfigError: ``text`` has an unknown atom, or a stray "%".
    """
    template, atoms, forms = _split(text, lambda atom, form: form)
    getters = [_getter(atom, text) for atom in atoms]
    try:
        template % tuple(getter(_Sample()) for getter in getters)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"--access-logformat {text!r}: {error}; write atoms as %(h)s, and %% for a percent sign"
        ) from error
    # After the cached parts are filled in, this is the template for the others.
    outer, *_ = _split(
        text.replace("%%", "%%%%"), lambda atom, form: "%s" if atom in _KEPT else f"%{form}"
    )
    return _renderer(template, outer, list(zip(atoms, forms, getters, strict=True)))


def _split(text: str, shown: Callable[[str, str], str]) -> tuple[str, list[str], list[str]]:
    """Split a format into a template by position, its atoms, and their forms, such as ``%s``.

    ``shown`` returns the text and the form for an atom.
    """
    atoms: list[str] = []
    forms: list[str] = []

    def place(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%%"
        atoms.append(match["atom"])
        forms.append(f"%{match['form']}{match['type']}")
        return shown(atoms[-1], forms[-1])

    return _ATOM.sub(place, text), atoms, forms


def _renderer(
    template: str, outer: str, places: list[tuple[str, str, Getter]]
) -> Callable[[Access], str]:
    """Return the renderer of one log line.

    Parts that depend only on the request line or the field block are cached on those objects. From
    the second use of a head on, a half-filled template is cached too.
    """
    of_line = [(at, each[2]) for at, each in enumerate(places) if each[0] in _OF_LINE]
    of_block = [(at, each[2]) for at, each in enumerate(places) if each[0] in _OF_BLOCK]
    others = [(at, each[2]) for at, each in enumerate(places) if each[0] not in _KEPT]
    late = [getter for _, getter in others]
    kept = [(at, each[1]) for at, each in enumerate(places) if each[0] in _KEPT]

    def render(access: Access) -> str:
        head = access.head
        if head.log_cache:
            return head.log_cache % tuple([getter(access) for getter in late])
        line, block = access.line, access.block
        if line.log_cache is None:
            line.log_cache = [getter(access) for _, getter in of_line]
        if block.log_cache is None:
            block.log_cache = [None for _ in places]
            for at, getter in of_block:
                block.log_cache[at] = getter(access)
        values = block.log_cache.copy()
        for (at, _), value in zip(of_line, line.log_cache, strict=True):
            values[at] = value
        if head.log_cache is None:
            head.log_cache = ""
        else:
            head.log_cache = outer % tuple(
                [(form % values[at]).replace("%", "%%") for at, form in kept]
            )
        for at, getter in others:
            values[at] = getter(access)
        return template % tuple(values)

    return render


def header(headers: Headers, name: bytes) -> str | None:
    """Return the first value of ``name`` (lower case), or None."""
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            return value.decode("latin-1")
    return None


def escaped(text: str) -> str:
    """Escape quotes, backslashes and everything but printable ASCII."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if char in '"\\':
        return "\\" + char
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


def _getter(atom: str, whole: str) -> Getter:
    found = _GETTERS.get(atom)
    if found is not None:
        return found()
    if atom.startswith("{") and atom[-2:] in _VARIABLES:
        return _VARIABLES[atom[-2:]](atom[1:-2])
    raise ConfigError(
        f"--access-logformat {whole!r}: no atom is called {atom!r}; there are "
        f"{' '.join(_GETTERS)} {{HEADER}}i {{HEADER}}o {{VARIABLE}}e"
    )


def _header_getter(name: str, part: Callable[[Access], Headers]) -> Getter:
    key = name.lower().encode("latin-1", "replace")

    def get(access: Access) -> str:
        found = header(part(access), key)
        return "-" if found is None else escaped(found)

    return get


def _of_request(access: Access) -> Headers:
    return access.request_headers


def _of_response(access: Access) -> Headers:
    return access.response_headers


def _environ_getter(name: str) -> Getter:
    def get(access: Access) -> str:
        found = None if access.environ is None else access.environ.get(name)
        return "-" if found is None else escaped(str(found))

    return get


def _user(access: Access) -> str:
    """Return the user name of Basic authentication (RFC 7617); the password is never used."""
    credentials = header(access.request_headers, b"authorization")
    if credentials is None:
        return "-"
    scheme, _, token = credentials.partition(" ")
    if scheme.lower() != "basic":
        return "-"
    try:
        user, colon, _ = base64.b64decode(token.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return "-"
    return escaped(user.decode("latin-1")) if user and colon else "-"


def _queue_time(access: Access) -> str:
    """Return the seconds before the application began."""
    return "-" if access.queue_time is None else f"{access.queue_time:.6f}"


def _request_line(access: Access) -> str:
    return f"{escaped(access.method)} {escaped(access.target)} HTTP/{access.version}"


_GETTERS: dict[str, Callable[[], Getter]] = {
    "h": lambda: lambda a: escaped(a.client) or "-",
    "l": lambda: lambda a: "-",
    "u": lambda: _user,
    "t": lambda: Clock("[%d/%b/%Y:%H:%M:%S %z]"),
    "r": lambda: _request_line,
    "m": lambda: lambda a: escaped(a.method),
    "U": lambda: lambda a: escaped(a.target.partition("?")[0]),
    "q": lambda: lambda a: escaped(a.target.partition("?")[2]),
    "H": lambda: lambda a: f"HTTP/{a.version}",
    "s": lambda: lambda a: a.status,
    "B": lambda: lambda a: a.length,
    "b": lambda: lambda a: a.length or "-",
    "f": lambda: _header_getter("referer", _of_request),
    "a": lambda: _header_getter("user-agent", _of_request),
    "T": lambda: lambda a: int(a.elapsed),
    "M": lambda: lambda a: int(a.elapsed * 1000),
    "D": lambda: lambda a: int(a.elapsed * 1_000_000),
    "L": lambda: lambda a: f"{a.elapsed:.6f}",
    "Q": lambda: _queue_time,
    "p": lambda: lambda a: f"<{os.getpid()}>",
}
_VARIABLES: dict[str, Callable[[str], Getter]] = {
    "}i": lambda name: _header_getter(name, _of_request),
    "}o": lambda name: _header_getter(name, _of_response),
    "}e": _environ_getter,
}
_ATOM = re.compile(
    r"%%|%\((?P<atom>\{[^}]*\}[a-z]|[^)]*)\)(?P<form>[-+ #0]*\d*(?:\.\d+)?)(?P<type>[a-z])"
)
_UNSAFE = re.compile(r'[^ -~]|["\\]')
# These are the same for every request with the same line, or with the same fields.
_OF_LINE = frozenset("rmUqH")
_OF_BLOCK = frozenset(("h", "l", "u", "f", "a"))
_KEPT = _OF_LINE | _OF_BLOCK
