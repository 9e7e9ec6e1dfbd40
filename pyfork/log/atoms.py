"""The access log's format: gunicorn's atoms, compiled once into a template and getters.

``%(h)s`` and its like stand for a part of the request or response; a missing one is "-". What a
client sent is escaped, so that no request can forge a line or reach the terminal.
"""

import base64
import binascii
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pyfork.errors import ConfigError

Headers = Sequence[tuple[bytes, bytes]]
Getter = Callable[["Access"], object]


class Access(NamedTuple):
    """What the access log is told about one request and its response."""

    client: str
    method: str
    target: str  # as it came, percent-encoded
    version: str  # "1.1"
    status: int
    length: int  # bytes of body sent
    elapsed: float  # seconds
    scheme: str
    request_headers: Headers
    response_headers: Headers
    environ: Mapping[str, object] | None = None


class Clock:
    """The local time as text, made anew once a second."""

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


def compile_format(text: str) -> Callable[[Access], str]:
    """A function from `Access` to the line that ``text`` describes.

    Raises:
        ConfigError: ``text`` has an atom that does not exist, or a stray "%".
    """
    getters: list[Getter] = []

    def place(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%%"
        getters.append(_getter(match["atom"], text))
        return f"%{match['form']}{match['type']}"

    template = _ATOM.sub(place, text)
    try:
        template % tuple(getter(_SAMPLE) for getter in getters)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"--access-logformat {text!r}: {error}; write atoms as %(h)s, and %% for a percent sign"
        ) from error
    return lambda access: template % tuple([getter(access) for getter in getters])


def header(headers: Headers, name: bytes) -> str | None:
    """The first value of ``name``, which is lower-cased; None if there is none."""
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            return value.decode("latin-1")
    return None


def escaped(text: str) -> str:
    """``text`` with quotes, backslashes and all but printable ASCII written as escapes."""
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
    """The user name of Basic authentication (RFC 7617); its password is never looked at."""
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
_NOTHING: tuple[Any, ...] = ()
_SAMPLE = Access("", "", "", "1.1", 200, 0, 0.0, "http", _NOTHING, _NOTHING)
