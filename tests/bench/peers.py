"""The servers that are compared, and the command that starts each.

Every server has its defaults but for what it must be told: the address, the number of workers, and
for uvicorn and hypercorn which of their own parsers and loops. A peer that is not installed is not
measured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Words = tuple[str, ...]

# What a peer can do: an access log, several workers, new code at HUP, WebSockets.
ALONE: frozenset[str] = frozenset()
SERVER = frozenset(("log", "workers", "reload"))
FULL = SERVER | {"websocket"}


@dataclass(frozen=True)
class Start:
    """How a server is to be started."""

    app: str  # module:attribute
    port: int
    workers: int = 1
    access_log: Path | None = None


@dataclass(frozen=True)
class Peer:
    """A server, with one of its workers."""

    name: str
    interface: str  # "wsgi" or "asgi"
    command: Callable[[Start], Words]  # what follows `python -m`
    package: str = ""  # as installed; by default its name up to the dash
    needs: Words = ()  # packages besides
    features: frozenset[str] = SERVER

    @property
    def packages(self) -> Words:
        """What has to be installed."""
        return (self.package or self.name.partition("-")[0], *self.needs)

    def missing(self) -> str:
        """The packages that are not installed, or nothing."""
        return ", ".join(name for name in self.packages if version_of(name) is None)

    @property
    def versions(self) -> str:
        """For the report: "uvicorn 0.54.0"."""
        return ", ".join(f"{name} {version_of(name)}" for name in self.packages)


def version_of(package: str) -> str | None:
    """Its version, if it is installed."""
    if package == "pyfork":
        from pyfork import __version__

        return __version__
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _like_gunicorn(module: str, *options: str) -> Callable[[Start], Words]:
    """pyfork and gunicorn understand the same options."""

    def command(start: Start) -> Words:
        log = ("--access-logfile", str(start.access_log)) if start.access_log else ()
        bind = ("-b", f"127.0.0.1:{start.port}", "-w", str(start.workers))
        return (module, *bind, *options, *log, start.app)

    return command


def _uvicorn(parser: str) -> Callable[[Start], Words]:
    def command(start: Start) -> Words:
        log = "--access-log" if start.access_log else "--no-access-log"
        place = ("--port", str(start.port), "--workers", str(start.workers))
        return ("uvicorn", *place, "--http", parser, "--loop", "uvloop", log, start.app)

    return command


def _granian(interface: str) -> Callable[[Start], Words]:
    def command(start: Start) -> Words:
        log = ("--access-log",) if start.access_log else ()
        place = ("--port", str(start.port), "--workers", str(start.workers))
        return ("granian", "--interface", interface, *place, *log, start.app)

    return command


def _hypercorn(start: Start) -> Words:
    log = ("--access-logfile", str(start.access_log)) if start.access_log else ()
    place = ("-b", f"127.0.0.1:{start.port}", "-w", str(start.workers))
    return ("hypercorn", *place, "-k", "uvloop", *log, start.app)


def _waitress(start: Start) -> Words:
    return ("waitress", f"--listen=127.0.0.1:{start.port}", start.app)


def _launched(package: str) -> Callable[[Start], Words]:
    """By `launch`: it has no command, or one that lacks what is needed."""
    return lambda start: ("tests.bench.launch", package, start.app, str(start.port))


PEERS = (
    Peer("pyfork-wsgi", "wsgi", _like_gunicorn("pyfork")),
    Peer("pyfork-thread", "wsgi", _like_gunicorn("pyfork", "-k", "thread", "--threads", "4")),
    Peer("granian-wsgi", "wsgi", _granian("wsgi")),
    Peer("bjoern", "wsgi", _launched("bjoern"), features=ALONE),
    Peer("fastpysgi", "wsgi", _launched("fastpysgi"), features=ALONE),
    Peer("gunicorn-sync", "wsgi", _like_gunicorn("gunicorn", "-k", "sync")),
    Peer("gunicorn-gthread", "wsgi", _like_gunicorn("gunicorn", "-k", "gthread", "--threads", "4")),
    Peer("waitress", "wsgi", _waitress, features=ALONE),
    Peer("pyfork-asgi", "asgi", _like_gunicorn("pyfork"), features=FULL),
    Peer("granian-asgi", "asgi", _granian("asgi"), features=FULL),
    Peer("uvicorn", "asgi", _uvicorn("httptools"), needs=("httptools", "uvloop"), features=FULL),
    Peer("uvicorn-zttp", "asgi", _uvicorn("zttp"), needs=("zttp", "uvloop"), features=FULL),
    Peer("gunicorn-asgi", "asgi", _like_gunicorn("gunicorn", "-k", "asgi"), features=FULL),
    Peer("hypercorn", "asgi", _hypercorn, needs=("uvloop",), features=FULL),
)

# What the others of an interface are compared with.
REFERENCES = {"wsgi": "pyfork-wsgi", "asgi": "pyfork-asgi"}
