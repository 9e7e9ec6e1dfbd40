"""The process of the status server. It ends with the arbiter, whose channel then has EOF."""

import asyncio
import signal
import socket

from pyfork.ipc.scoreboard import Scoreboard
from pyfork.status.arbiter_link import ArbiterLink
from pyfork.status.http_server import HttpServer
from pyfork.status.pages import Pages


def main(listener: socket.socket, link: socket.socket, board: Scoreboard, token: str) -> int:
    """Serve until the arbiter is gone. Returns the exit status.

    Args:
        listener: bound and listening.
        link: a connection to the arbiter that speaks as the control socket does.
        token: what clients of /status and /metrics have to send; empty: nothing.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it answers probes until the arbiter has ended
    asyncio.run(_serve(listener, link, board, token))
    return 0


async def _serve(
    listener: socket.socket, link: socket.socket, board: Scoreboard, token: str
) -> None:
    arbiter = await ArbiterLink.connect(link)
    pages = Pages(arbiter, board, token, local=listener.family != socket.AF_UNIX)
    server = HttpServer(listener, pages.answer)
    await server.start()
    await arbiter.ended
    server.close()
