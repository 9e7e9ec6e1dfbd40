"""The servers that are compared, and the command that starts each.

Every server has its defaults but for what it must be told: the address, the number of workers, how
many idle connections it is to keep and for how long, and what makes it fastest: for uvicorn and
hypercorn which of their own parsers and loops, for granian that one thread calls a WSGI application
(its default, which is measured as ``granian-threads``, is up to 512 of them: they wait for each
other, and take a third more of the core). A peer that is not installed is not measured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Words = tuple[str, ...]

# What a peer may have, and what is said of one that lacks it.
LACKS = {
    "log": "it has no access log",
    "workers": "it has one worker and no more",
    "reload": "it does not reload",
    "kept": "it keeps no connections",
    "websocket": "it speaks no WebSockets",
}
ALONE = frozenset(("kept",))
UNKEPT = frozenset(("log", "workers", "reload"))
SERVER = UNKEPT | ALONE
FULL = SERVER | {"websocket"}

KEPT_SECONDS = "60"
SPARE = 200  # connections besides those that idle


@dataclass(frozen=True)
class Start:
    """How a server is to be started."""

    app: str  # module:attribute
    port: int
    workers: int = 1
    access_log: Path | None = None
    idle: int = 0  # connections that it is to keep for KEPT_SECONDS; 0: as it does by default
    tls: Path | None = None  # where cert.pem and key.pem are, if it is to speak TLS

    def tls_words(self, certificate: str, key: str) -> Words:
        """The options of these names, with the files."""
        if self.tls is None:
            return ()
        return (certificate, str(self.tls / "cert.pem"), key, str(self.tls / "key.pem"))

    @property
    def most(self) -> str:
        """How many connections at once, where idle ones are kept."""
        return str(self.idle + SPARE)


@dataclass(frozen=True)
class Peer:
    """A server, with one of its workers."""

    name: str
    interface: str  # "wsgi" or "asgi"
    command: Callable[[Start], Words]  # what follows `python -m`
    package: str = ""  # as installed; by default its name up to the dash
    needs: Words = ()  # packages besides
    features: frozenset[str] = SERVER  # of LACKS

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


def like_gunicorn(module: str, *options: str) -> Callable[[Start], Words]:
    """pyfork and gunicorn understand the same options."""

    def command(start: Start) -> Words:
        log = ("--access-logfile", str(start.access_log)) if start.access_log else ()
        kept = ("--worker-connections", start.most, "--keep-alive", KEPT_SECONDS)
        bind = ("-b", f"127.0.0.1:{start.port}", "-w", str(start.workers))
        tls = start.tls_words("--certfile", "--keyfile")
        return (module, *bind, *options, *log, *tls, *(kept if start.idle else ()), start.app)

    return command


def _uvicorn(parser: str) -> Callable[[Start], Words]:
    def command(start: Start) -> Words:
        log = "--access-log" if start.access_log else "--no-access-log"
        kept = ("--timeout-keep-alive", KEPT_SECONDS) if start.idle else ()
        place = ("--port", str(start.port), "--workers", str(start.workers))
        own = ("--http", parser, "--loop", "uvloop")
        tls = start.tls_words("--ssl-certfile", "--ssl-keyfile")
        return ("uvicorn", *place, *own, log, *tls, *kept, start.app)

    return command


def _granian(interface: str, *options: str) -> Callable[[Start], Words]:
    def command(start: Start) -> Words:
        log = ("--access-log",) if start.access_log else ()
        kept = ("--backpressure", start.most) if start.idle else ()
        place = ("--port", str(start.port), "--workers", str(start.workers))
        tls = start.tls_words("--ssl-certificate", "--ssl-keyfile")
        own = (*place, *options, *log, *tls, *kept)
        return ("granian", "--interface", interface, *own, start.app)

    return command


def _hypercorn(start: Start) -> Words:
    log = ("--access-logfile", str(start.access_log)) if start.access_log else ()
    kept = ("--keep-alive", KEPT_SECONDS) if start.idle else ()
    place = ("-b", f"127.0.0.1:{start.port}", "-w", str(start.workers))
    return ("hypercorn", *place, "-k", "uvloop", *log, *kept, start.app)


def _waitress(start: Start) -> Words:
    # select(), its default, is for 1,024 file descriptors.
    kept = (f"--connection-limit={start.most}", "--asyncore-use-poll") if start.idle else ()
    return ("waitress", f"--listen=127.0.0.1:{start.port}", *kept, start.app)


def _launched(package: str) -> Callable[[Start], Words]:
    """By `launch`: it has no command, or one that lacks what is needed."""
    return lambda start: ("tests.bench.launch", package, start.app, str(start.port))


PEERS = (
    Peer("pyfork-wsgi", "wsgi", like_gunicorn("pyfork")),
    Peer("pyfork-thread", "wsgi", like_gunicorn("pyfork", "-k", "thread", "--threads", "4")),
    Peer("pyfork-wsgi-h11", "wsgi", like_gunicorn("pyfork", "--http", "h11")),
    Peer("granian-wsgi", "wsgi", _granian("wsgi", "--blocking-threads", "1")),
    Peer("granian-threads", "wsgi", _granian("wsgi")),
    Peer("bjoern", "wsgi", _launched("bjoern"), features=ALONE),
    Peer("fastpysgi", "wsgi", _launched("fastpysgi"), features=ALONE),
    Peer("gunicorn-sync", "wsgi", like_gunicorn("gunicorn", "-k", "sync"), features=UNKEPT),
    Peer("gunicorn-gthread", "wsgi", like_gunicorn("gunicorn", "-k", "gthread", "--threads", "4")),
    Peer("waitress", "wsgi", _waitress, features=ALONE),
    Peer("pyfork-asgi", "asgi", like_gunicorn("pyfork"), features=FULL),
    Peer("pyfork-asgi-h11", "asgi", like_gunicorn("pyfork", "--http", "h11"), features=FULL),
    Peer("granian-asgi", "asgi", _granian("asgi"), features=FULL),
    Peer("uvicorn", "asgi", _uvicorn("httptools"), needs=("httptools", "uvloop"), features=FULL),
    Peer("uvicorn-zttp", "asgi", _uvicorn("zttp"), needs=("zttp", "uvloop"), features=FULL),
    Peer("gunicorn-asgi", "asgi", like_gunicorn("gunicorn", "-k", "asgi"), features=FULL),
    Peer("hypercorn", "asgi", _hypercorn, needs=("uvloop",), features=FULL),
)

# Whom a case asks that is not one for all.
MAIN = (
    "pyfork-wsgi",
    "granian-wsgi",
    "bjoern",
    "gunicorn-gthread",
    "pyfork-asgi",
    "granian-asgi",
    "uvicorn",
    "gunicorn-asgi",
)

# What the others of an interface are compared with.
REFERENCES = {"wsgi": "pyfork-wsgi", "asgi": "pyfork-asgi"}
