"""The process of the status server. It ends with the arbiter, whose channel then has EOF."""

import asyncio
import signal
import socket
from collections.abc import Sequence

from pyfork.ipc.scoreboard import Scoreboard
from pyfork.status.arbiter_link import ArbiterLink
from pyfork.status.http_server import HttpServer
from pyfork.status.pages import Pages
from pyfork.status.statsd_sender import StatsdSender, StatsdTarget


def main(
    listener: socket.socket | None,
    link: socket.socket,
    board: Scoreboard,
    token: str,
    statsd: tuple[str | None, str, str],
    certificates: Sequence[str],
) -> int:
    """Serve until the arbiter is gone. Returns the exit status.

    Args:
        listener: bound and listening; None: HTTP is not served.
        link: a connection to the arbiter that speaks as the control socket does.
        token: what clients of /status and /metrics have to send; empty: nothing.
        statsd: the address to which metrics are sent, or None; the prefix, and the tags.
        certificates: files whose expiry is a metric.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it answers probes until the arbiter has ended
    address, prefix, tags = statsd
    target = None if address is None else StatsdTarget(address, prefix, tags)
    asyncio.run(_serve(listener, link, board, token, target, certificates))
    return 0


async def _serve(
    listener: socket.socket | None,
    link: socket.socket,
    board: Scoreboard,
    token: str,
    statsd: StatsdTarget | None,
    certificates: Sequence[str],
) -> None:
    arbiter = await ArbiterLink.connect(link)
    sender = None if statsd is None else StatsdSender(statsd, board)
    if sender is not None:
        sender.start()
    server = None
    if listener is not None:
        local = listener.family != socket.AF_UNIX
        pages = Pages(arbiter, board, token, certificates, local=local)
        server = HttpServer(listener, pages.answer)
        await server.start()
    await arbiter.ended
    if server is not None:
        server.close()
    if sender is not None:
        await sender.close()
