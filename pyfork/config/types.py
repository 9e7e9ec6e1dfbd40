"""Types of values: parsing, display, and the text for an error.

A `ValueType` parses text from a command line or environment and values from TOML (text, numbers,
booleans, arrays, tables). It shows a value as text that parses to the same value. Parsing raises
ValueError; the caller adds setting and source to the message. (Addresses raise ConfigError with a
message of their own.)
"""

import math
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Generic, Literal, TypeVar

from pyfork.address import InheritedFd, parse
from pyfork.record import record

T = TypeVar("T")

Network = IPv4Network | IPv6Network
Networks = tuple[Network, ...] | Literal["*"]

WORKER_CLASSES = ("auto", "sync", "thread", "asgi", "uvicorn")
# Not for an id: they frame a message, or mean something to a client or a server.
_TAKEN_FIELDS = frozenset((
    "authorization", "connection", "content-encoding", "content-length", "content-type", "cookie",
    "date", "expect", "host", "keep-alive", "location", "server", "set-cookie", "te", "trailer",
    "transfer-encoding", "upgrade", "via",
))  # fmt: skip
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_BOOLEANS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


@record
class ValueType(Generic[T]):
    """One type of values.

    ``expects`` completes the sentence "it must be ..."; ``metavar`` stands for a value in usage
    lines.
    """

    metavar: str
    expects: str
    read: Callable[[object], T]
    show: Callable[[T], str] = str


def whole(minimum: int) -> ValueType[int]:
    """Return the type of whole numbers from ``minimum`` on."""

    def read(raw: object) -> int:
        number = _integer(raw)
        if number < minimum:
            raise ValueError(raw)
        return number

    return ValueType("N", f"a whole number of at least {minimum}", read)


def choice(*names: str, also: Mapping[str, str] | None = None) -> ValueType[str]:
    """Return the type of ``names``; ``also`` has aliases that other servers use."""

    def read(raw: object) -> str:
        name = raw.lower() if isinstance(raw, str) else ""
        name = (also or {}).get(name, name)
        if name not in names:
            raise ValueError(raw)
        return name

    return ValueType("|".join(names), _one_of(names), read)


def optional(kind: ValueType[T]) -> ValueType[T | None]:
    """Return ``kind`` or nothing: empty text cancels a value of a lower source."""

    def read(raw: object) -> T | None:
        return None if raw == "" else kind.read(raw)

    def show(value: T | None) -> str:
        return "" if value is None else kind.show(value)

    return ValueType(kind.metavar, kind.expects, read, show)


def hook(parameters: str, *, fewest: int | None = None) -> ValueType[Callable[..., Any]]:
    """Return the type of functions called with ``parameters``, or at least the first ``fewest``."""
    names = parameters.split()

    def read(raw: object) -> Callable[..., Any]:
        from inspect import signature  # rarely needed

        if not callable(raw):
            raise ValueError(raw)
        for count in range(len(names), (fewest or len(names)) - 1, -1):
            with suppress(TypeError):
                signature(raw).bind(*names[:count])
                return raw if count == len(names) else _shortened(raw, count)
        raise ValueError(raw)

    return ValueType("", f"a function of ({', '.join(names)})", read, _show_function)


def _shortened(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    from functools import wraps

    @wraps(function)
    def called(*arguments: Any) -> Any:
        return function(*arguments[:count])

    return called


def _show_function(value: Callable[..., Any]) -> str:
    return getattr(value, "__qualname__", repr(value))


def octal(raw: object) -> object:
    """Parse a file mode for Python, where 0o022 is a number."""
    return f"{raw:o}" if isinstance(raw, int) and not isinstance(raw, bool) else raw


def _one_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _integer(raw: object) -> int:
    if isinstance(raw, str) and raw.isascii() and raw.isdigit():
        return int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    raise ValueError(raw)


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise ValueError(raw)
    return raw


def _seconds(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError(raw)
    seconds = float(raw)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(raw)
    return seconds


def _size(raw: object) -> int:
    match = re.fullmatch(r"([0-9]+)([KMG]?)", str(raw).upper())
    if match is None:
        raise ValueError(raw)
    return int(match[1]) * _UNITS[match[2]]


def _show_size(size: int) -> str:
    unit = max((u for u in _UNITS if size % _UNITS[u] == 0), key=_UNITS.__getitem__)
    return f"{size // _UNITS[unit]}{unit}" if size else "0"


def _mode(raw: object) -> int:
    # Text only: TOML's 22 would be a decimal number, which is not intended.
    mode = int(_text(raw), 8)
    if not 0 <= mode <= 0o7777:
        raise ValueError(raw)
    return mode


def _workers(raw: object) -> int:
    if raw == "auto":
        from pyfork.system.cpus import usable

        return usable()
    return whole(1).read(raw)


def _worker_class(raw: object) -> str:
    name = _text(raw)
    if name in WORKER_CLASSES:
        return name
    if "." not in name or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(raw)
    return name


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if not isinstance(raw, str) or raw.lower() not in _BOOLEANS:
        raise ValueError(raw)
    return _BOOLEANS[raw.lower()]


def _root_path(raw: object) -> str:
    if not isinstance(raw, str) or (raw and not raw.startswith("/")):
        raise ValueError(raw)
    return raw.rstrip("/")


def _datagrams(raw: object) -> str:
    """An address; StatsD's port is 8125."""
    text = _text(raw)
    text = text if ":" in text else f"{text}:8125"
    if isinstance(parse(text), InheritedFd):
        raise ValueError
    return text


def _field_name(raw: object) -> str:
    """A field that frames nothing, and that neither client nor server use for something else."""
    text = _text(raw)
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", text) or text.lower() in _TAKEN_FIELDS:
        raise ValueError
    return text


def _items(raw: object) -> tuple[str, ...]:
    """Return the items of a TOML array, of a repeated flag, or of a comma-separated text."""
    texts = raw if isinstance(raw, list | tuple) else [raw]
    found = tuple(item.strip() for text in texts for item in _text(text).split(","))
    if "" in found:
        raise ValueError(raw)
    return found


def _targets(raw: object) -> tuple[str, ...]:
    found = _items(raw)
    if not all(each.startswith("/") for each in found):
        raise ValueError(raw)
    return found


def _addresses(raw: object) -> tuple[str, ...]:
    found = _items(raw)
    if not found:
        raise ValueError(raw)
    for text in found:
        parse(text)
    return found


def _networks(raw: object) -> Networks:
    found = _items(raw) if raw != "" else ()
    return "*" if "*" in found else tuple(ip_network(item) for item in found)


def _show_networks(value: Networks) -> str:
    if value == "*":
        return value
    return ",".join(
        str(net.network_address if net.prefixlen == net.max_prefixlen else net) for net in value
    )


def _variables(raw: object) -> tuple[tuple[str, str], ...]:
    """Parse NAME=VALUE from a TOML table or array, a repeated flag, or the words of one text."""
    if isinstance(raw, dict):
        return tuple((_name(name), _variable(value)) for name, value in raw.items())
    words = shlex.split(raw) if isinstance(raw, str) else raw
    if not isinstance(words, list | tuple):
        raise ValueError(raw)
    pairs = [_text(word).partition("=") for word in words]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError(raw)
    return tuple((_name(name), value) for name, _, value in pairs)


def _name(raw: object) -> str:
    name = _text(raw)
    if "=" in name:
        raise ValueError(raw)
    return name


def _variable(raw: object) -> str:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return str(raw)
    return raw if raw == "" else _text(raw)


def _show_variables(value: tuple[tuple[str, str], ...]) -> str:
    return shlex.join(f"{name}={text}" for name, text in value)


def _words(raw: object) -> tuple[str, ...]:
    if isinstance(raw, str):
        return tuple(shlex.split(raw))
    if isinstance(raw, list | tuple):
        return tuple(_text(each) for each in raw)
    raise ValueError(raw)


def _mapping(raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError(raw)
    return raw


TEXT = ValueType("TEXT", "text", _text)
APP = ValueType("APP", "the name of an application, such as module:name", _text)
PATH = ValueType("PATH", "a path", _text)
SECONDS = ValueType("SECONDS", "a number of seconds, 0 or more", _seconds, "{:g}".format)
SIZE = ValueType("SIZE", "a number of bytes such as 4096, 64K, 512M or 1G", _size, _show_size)
MODE = ValueType("OCTAL", "octal digits as text, such as 022", _mode, "{:03o}".format)
WORKERS = ValueType("N|auto", "a whole number of at least 1, or auto", _workers)
COUNT = ValueType(
    "N|auto",
    "a whole number of at least 1, or auto",
    lambda raw: 0 if raw == "auto" else whole(1).read(raw),
    lambda value: str(value or "auto"),
)
WORKER_CLASS = ValueType(
    "|".join(WORKER_CLASSES) + "|DOTTED.PATH",
    f"{', '.join(WORKER_CLASSES)} or the dotted path of a class",
    _worker_class,
)
BOOLEAN = ValueType("BOOL", "true or false", _boolean, lambda value: str(value).lower())
DATAGRAMS = ValueType("HOST:PORT", "HOST:PORT, HOST or unix:PATH", _datagrams)
FIELD_NAME = ValueType("FIELD", "the name of a field of HTTP, such as X-Request-Id", _field_name)
ROOT_PATH = ValueType("PATH", "a URL path that starts with /", _root_path)
ADDRESSES = ValueType(
    "ADDRESS", "HOST:PORT, :PORT, [::]:PORT, unix:PATH or fd://N", _addresses, ",".join
)
PATHS = ValueType("PATH", "paths, separated by commas", _items, ",".join)
TARGETS = ValueType("PATH", "paths of URLs, from / on", _targets, ",".join)
NETWORKS = ValueType(
    "CIDR", "IP addresses or networks such as 10.0.0.0/8, or *", _networks, _show_networks
)
WORDS = ValueType("WORDS", "words, as in a shell", _words, shlex.join)
MAPPING = ValueType("", "a dictionary", _mapping, lambda found: "{...}" if found else "")
VARIABLES = ValueType("NAME=VALUE", "NAME=VALUE", _variables, _show_variables)
