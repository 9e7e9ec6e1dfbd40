"""A script's way out: what it has accepted is answered, then it hears SIGTERM.

The port goes first. A dead socket is put under each listening descriptor, which works whoever
accepts there, Python or a library's C: the loop finds nothing to accept any more. Who is still
served is counted by the kernel's own list of open sockets, for the same reason.

A script that handles SIGTERM hears it a moment later, and drains as it was written to. One that
does not would be cut in the middle of an answer: it hears it when its last client has gone. Its
descendants, of which it does not think, hear it at once.

Rules: runs in a thread of its own, since the script may have questions to the arbiter yet.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from select import POLLIN, poll
from time import monotonic, sleep
from types import FrameType

from pyfork.cluster import descendants
from pyfork.cluster.sockets.accept_epoll import AcceptEpoll
from pyfork.cluster.sockets.open_sockets import open_sockets
from pyfork.cluster.sockets.patches import SocketPatches
from pyfork.log import setup, streams
from pyfork.record import entity, field

MOMENT = 0.1  # seconds in which what was just accepted is read
QUEUE_LIMIT = 1.0  # seconds in which the last workers empty the queue
CLEAN_UP = 2.0  # seconds in which a script that does not handle SIGTERM may unwind
_LOOK = 0.02  # seconds between two looks


def exit_on_sigterm(number: int, frame: FrameType | None) -> None:
    """The handler of SIGTERM, until the script has one of its own."""
    raise SystemExit(0)


@entity
class ScriptShutdown:
    """The one departure of this process.

    Args:
        main_thread: its number; gevent may have put another thing in the place of what knows it.
        handler: of SIGTERM, if the script has none: it ends the main thread.
        status: with which a script ends that does not end itself.
        outgoing: whether connections that the script has opened are waited for, too.
    """

    hooks: SocketPatches
    main_thread: int
    handler: Callable[[int, FrameType | None], None] = exit_on_sigterm
    status: int = 0
    outgoing: bool = False
    until: float = 0.0
    _heard: bool = False  # by a handler of the script's own
    _dead: list[socket.socket] = field(default_factory=list)  # kept: their descriptors are copies

    def go(self, grace: float, *, others_serve: bool) -> None:
        """Leave within ``grace`` seconds; the arbiter kills what is still there."""
        self.until = monotonic() + grace
        unheard = signal.getsignal(signal.SIGTERM) == self.handler
        if grace:
            names = self._give_port_up(others_serve=others_serve)
            self._wait(min(self.until, monotonic() + MOMENT))
            if unheard:
                found = descendants.terminate()
                while (
                    _is_served(names, outgoing=self.outgoing) or descendants.are_there(found)
                ) and monotonic() < self.until:
                    sleep(_LOOK)
        # To the main thread, whose waiting it is to interrupt.
        signal.pthread_kill(self.main_thread, signal.SIGTERM)
        self._heard = not unheard
        if unheard:  # the signal alone would have ended it at once
            self._wait(monotonic() + CLEAN_UP)
            descendants.end(sys.argv[0])
            streams.flush()
            setup.finish()
            os._exit(self.status)

    def shorten(self, grace: float) -> None:
        """Leave within ``grace`` seconds from now. Without any, a script that handles SIGTERM and
        is at it hears it again."""
        self.until = min(self.until, monotonic() + grace)
        if self._heard and not grace:
            signal.pthread_kill(self.main_thread, signal.SIGTERM)

    def _give_port_up(self, *, others_serve: bool) -> set[object]:
        """Accept no more. Returns the addresses on which clients may still be connected."""
        names: set[object] = set()
        until = min(self.until, monotonic() + QUEUE_LIMIT)
        for fd in self.hooks.streams():
            if desk := self.hooks.desk(fd):
                names.add(_port(desk.name))
                desk.finish(others_serve=others_serve)
                self._wait_empty(desk, until)
                desk.finish(others_serve=True)
                if not self.hooks.link.gone:  # or the port would stay open, and its end is there
                    self._wait_empty(desk, self.until)  # nobody else has what lies on its tray
                desk.clear()
                continue
            with suppress(OSError):
                listener = socket.socket(fileno=os.dup(fd))
                if not others_serve:
                    self._wait_empty(listener, until)
                names.add(_port(listener.getsockname()))
                dead = _dummy_listener()
                self._dead.append(dead)
                self.hooks.end(fd, dead)
                listener.close()
        return names

    def _wait_empty(self, listener: socket.socket | AcceptEpoll, until: float) -> None:
        queue = poll()
        queue.register(listener.fileno(), POLLIN)
        while queue.poll(0) and monotonic() < min(until, self.until):
            sleep(_LOOK)

    def _wait(self, until: float) -> None:
        while (left := until - monotonic()) > 0:
            sleep(left)


def _dummy_listener() -> socket.socket:
    """It listens where nobody knows to connect to, so that accept() says: nothing there."""
    if sys.platform == "linux":
        dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        dead.bind("")  # a name of the kernel's choice, and no file
    else:
        dead = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        dead.bind(("127.0.0.1", 0))
    dead.setblocking(False)
    dead.listen(0)
    return dead


def _is_served(names: set[object], *, outgoing: bool = False) -> bool:
    """Whether a connection is open that came by one of the ports ``names``, or with ``outgoing``
    any connection with another program."""
    try:
        return any(_is_connection(each, names, outgoing) for each in open_sockets())
    except OSError:  # nothing left to look with: somebody has it all
        return True


def _is_connection(each: socket.socket, names: set[object], outgoing: bool) -> bool:
    try:
        peer = each.getpeername()
        if _port(each.getsockname()) in names:
            return True
    except OSError:  # it is no connection
        return False
    # A pair has no names: the channel to the primary is one, and what wakes up a loop.
    return outgoing and each.type == socket.SOCK_STREAM and bool(peer)


def _port(name: object) -> object:
    """What a listener and its connections have in common."""
    return name[1] if isinstance(name, tuple) else name
