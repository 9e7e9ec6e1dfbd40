"""Bind addresses: from the text of ``--bind`` to a value, and back.

Pure: nothing here opens a socket or resolves a name. `parse` is the only way in; a value that it
returns is well-formed, though the kernel may still refuse it (see `bind`).
"""

import ipaddress
import re

from pyfork.errors import ConfigError
from pyfork.record import record

DEFAULT_PORT = 8000
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_FORMS = "HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH, unix:@NAME or fd://N"


@record
class Inet:
    """A TCP address. ``host`` is a name, an IPv4 or an IPv6 address, without brackets."""

    host: str
    port: int  # 0..65535; 0 lets the kernel choose

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def wildcard(self) -> bool:
        """It stands for every interface of its family."""
        return self.host in ("0.0.0.0", "::")

    @property
    def loopback(self) -> bool:
        """Only this machine reaches it. A name other than localhost may be any address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def url(self, scheme: str = "http") -> str:
        """The address itself as a URL, wildcards too: in a container they are what matters."""
        return f"{scheme}://{self}"

    def link(self, scheme: str = "http") -> str:
        """A URL to open on this machine: for a wildcard, the loopback address of its family."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return Inet(host, self.port).url(scheme)


@record
class Unix:
    """A unix socket. A ``path`` that starts with NUL is a name in Linux's abstract namespace."""

    path: str

    def __str__(self) -> str:
        return f"unix:@{self.path[1:]}" if self.abstract else f"unix:{self.path}"

    @property
    def abstract(self) -> bool:
        """It has a name but no file."""
        return self.path.startswith("\0")

    def url(self, scheme: str = "http") -> str:
        """The bind text: no URL for unix sockets is understood widely enough to be clicked."""
        return str(self)

    def link(self, scheme: str = "http") -> str:
        """The same as `url`."""
        return self.url(scheme)


@record
class InheritedFd:
    """A listening socket that the process that started pyfork left open as descriptor ``fd``."""

    fd: int

    def __str__(self) -> str:
        return f"fd://{self.fd}"

    def url(self, scheme: str = "http") -> str:
        """The bind text; once adopted, the listener has the real address."""
        return str(self)

    def link(self, scheme: str = "http") -> str:
        """The same as `url`."""
        return self.url(scheme)


Address = Inet | Unix | InheritedFd


def parse(text: str) -> Address:
    """The address that ``text`` means.

    As in gunicorn, ``:8000`` is every IPv4 interface, a host alone gets port 8000, and a
    ``tcp://`` in front is ignored.

    Raises:
        ConfigError: it means none, or more than one; the message says what to write.
    """
    text = text.strip()
    if text.startswith("unix:"):
        return _unix(text)
    if text.startswith("fd://"):
        return _inherited(text)
    if "://" in text and not text.startswith("tcp://"):
        return _refuse_url(text)
    return _inet(text.removeprefix("tcp://"), text)


def _unix(text: str) -> Unix:
    path = text.removeprefix("unix:")
    if path.startswith("//"):
        path = path.removeprefix("//")
    if not path or path == "@":
        raise ConfigError(f"bind address {text!r} has no path: write unix:/run/myapp.sock")
    if "\0" in path:
        raise ConfigError(f"bind address {text!r} has a NUL in its path: write unix:@NAME")
    return Unix("\0" + path[1:] if path.startswith("@") else path)


def _inherited(text: str) -> InheritedFd:
    number = text.removeprefix("fd://")
    if not _is_number(number):
        raise ConfigError(f"bind address {text!r} has no file descriptor number: write fd://3")
    return InheritedFd(int(number))


def _inet(text: str, whole: str) -> Inet:
    if text.startswith("["):
        return _inet6(text, whole)
    if _is_ipv6(text):
        raise ConfigError(
            f"bind address {whole!r} does not tell the port from the host: write "
            f"[{text}]:{DEFAULT_PORT}"
        )
    if _is_number(text):
        raise ConfigError(
            f"bind address {whole!r} is a number: write 127.0.0.1:{text} to be reached from this "
            f"machine only, or :{text} for every interface"
        )
    host, colon, port = text.partition(":")
    if (host and not _HOST_NAME.fullmatch(host)) or not (host or colon):
        raise ConfigError(f"bind address {whole!r} is not understood: write {_FORMS}")
    return Inet(host or "0.0.0.0", _port(port, whole) if colon else DEFAULT_PORT)


def _inet6(text: str, whole: str) -> Inet:
    host, bracket, rest = text[1:].partition("]")
    if not bracket or not _is_ipv6(host) or (rest and not rest.startswith(":")):
        raise ConfigError(
            f"bind address {whole!r} is not [IPV6]:PORT: write, for example, [::1]:{DEFAULT_PORT}"
        )
    return Inet(host, _port(rest[1:], whole) if rest else DEFAULT_PORT)


def _port(text: str, whole: str) -> int:
    if not _is_number(text) or int(text) > 65535:
        raise ConfigError(
            f"bind address {whole!r} has {f'port {text!r}' if text else 'no port'} after the "
            "colon: write a number from 0 (the kernel chooses) to 65535"
        )
    return int(text)


def _refuse_url(text: str) -> Address:
    scheme, _, rest = text.partition("://")
    rest = rest.partition("/")[0]
    if scheme in ("http", "https") and rest:
        raise ConfigError(f"bind address {text!r} is a URL: write {rest}")
    raise ConfigError(f"bind address {text!r} is not understood: write {_FORMS}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
