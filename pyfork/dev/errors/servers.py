"""pyfork's engine on the ports of a script that does not run: what `stand_in` is to an application.

The sockets are the script's own kind: bound and listened to as a script would, so that the arbiter
sees no difference.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable

from pyfork.address import Inet, Unix, parse
from pyfork.config.config import Config
from pyfork.dev.errors.app import ErrorApp
from pyfork.dev.errors.report import ErrorReport
from pyfork.errors import BootError
from pyfork.http.asgi.gateway import AsgiGateway
from pyfork.http.connection.connection import Connection
from pyfork.http.connection.engine import Engine
from pyfork.http.connection.timeouts.deadlines import Timeouts
from pyfork.http.connection.timeouts.sweep import sweep
from pyfork.ipc.scoreboard import Row

log = logging.getLogger("pyfork.error")

INTERFACE = "error page"  # what it speaks, as the arbiter says it
TICK_SECONDS = 1.0  # seconds between two looks at deadlines and the clock


def serve(
    config: Config,
    row: Row,
    error: BootError,
    addresses: Iterable[str],
    ready: Callable[[], None],
) -> None:
    """Answer with ``error`` on ``addresses``, for ever; a signal handler may raise.

    ``ready`` is called when all of them are listened to, as far as they are to be had.
    """
    app = ErrorApp(ErrorReport.of(str(config.app), error), config.reload_host)
    loop = asyncio.new_event_loop()
    gateway = AsgiGateway(app, loop=loop, root_path="", state={})
    engine = Engine(config, loop=loop, row=row, gateway=gateway)
    limits = Timeouts.from_config(config)

    def accepted() -> Connection:
        engine.count(1)
        return Connection(engine)

    def beat() -> None:
        engine.tick(time.time())
        sweep(engine, limits, time.monotonic())
        loop.call_later(TICK_SECONDS, beat)

    asyncio.set_event_loop(loop)
    for text in addresses:
        try:
            server = loop.create_server(accepted, sock=_bound(text))
            loop.run_until_complete(server)
        except OSError as refused:  # it was for one process alone, or the kernel had chosen it
            log.debug("no error page on %s: %s", text, refused)
    ready()
    beat()
    loop.run_forever()


def _bound(text: str) -> socket.socket:
    """A socket bound to an address that the cluster has already."""
    match parse(text):
        case Inet(host, port):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            bound = socket.socket(family, socket.SOCK_STREAM)
            if family == socket.AF_INET6 and host != "::":
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((host, port))
        case Unix(path):
            bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            bound.bind(path)
        case other:
            raise ValueError(f"no address to bind: {other}")
    bound.setblocking(False)
    return bound
