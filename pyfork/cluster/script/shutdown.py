"""The shutdown of a script: complete accepted connections, then deliver SIGTERM.

First the worker stops accepting. A dummy listener replaces each listening descriptor, which works
for Python and for C code: the script finds nothing to accept. Open connections are counted in the
kernel's list of sockets, for the same reason.

A script that handles SIGTERM gets it a moment later and drains as it was written to. A script
without a handler would be cut in the middle of a response, so it gets SIGTERM after its last
connection has closed. Descendants of such a script get SIGTERM at once. A forked one without a
handler shuts down in the same way, after its own last connection (`drain_child_on_sigterm`).

Rules: runs in a thread of its own, since the script may still call the arbiter.
"""

import os
import signal
import socket
import sys
from _thread import get_ident, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from select import POLLIN, poll
from time import monotonic, sleep
from types import FrameType

from pyfork.cluster import descendants
from pyfork.cluster.sockets.accept_epoll import AcceptEpoll
from pyfork.cluster.sockets.open_sockets import open_inodes, open_sockets
from pyfork.cluster.sockets.patches import SocketPatches
from pyfork.log import setup, streams
from pyfork.record import entity, field

SETTLE_SECONDS = 0.1  # in which data of the last connections is read
QUEUE_SECONDS = 1.0  # in which the last workers empty the kernel's queue
CLEANUP_SECONDS = 2.0  # in which a script without a handler of SIGTERM may unwind
_POLL_SECONDS = 0.02  # between two polls


def exit_on_sigterm(number: int, frame: FrameType | None) -> None:
    """The handler of SIGTERM until the script has its own."""
    raise SystemExit(0)


def drain_child_on_sigterm(patches: SocketPatches, grace: float) -> None:
    """In a forked child whose script does not handle SIGTERM: complete its connections first.

    A second SIGTERM ends it at once. Connections that were open at the fork are not waited for,
    but for the one that the child was forked to serve: a child that was started for another
    purpose has copies of them.
    """
    if signal.getsignal(signal.SIGTERM) is not exit_on_sigterm or not patches.fds.stream_fds():
        return
    inherited = frozenset(open_inodes())
    if patches.handed_over >= 0:
        inherited -= {os.fstat(patches.handed_over).st_ino}

    def drain(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, exit_on_sigterm)
        shutdown = ScriptShutdown(patches, get_ident(), inherited=inherited)
        start_new_thread(shutdown.run, (grace,), {"others_serve": True})

    with suppress(ValueError):  # the fork was made by another thread
        signal.signal(signal.SIGTERM, drain)


@entity
class ScriptShutdown:
    """The one shutdown of this process.

    Args:
        main_thread: its identifier; gevent may patch threading.
        handler: the handler of SIGTERM that means that the script has none; it ends the main
            thread.
        status: exit status of a script that does not end by itself.
        outgoing: whether connections that the script has opened are waited for, too.
        inherited: inodes of open files that are not this process's own.
    """

    patches: SocketPatches
    main_thread: int
    handler: Callable[[int, FrameType | None], None] = exit_on_sigterm
    status: int = 0
    outgoing: bool = False
    inherited: frozenset[int] = frozenset()
    until: float = 0.0
    _script_handles: bool = False  # SIGTERM was delivered to a handler of the script
    _dummies: list[socket.socket] = field(
        default_factory=list
    )  # kept open: the script's descriptors are copies

    def run(self, grace: float, *, others_serve: bool) -> None:
        """Shut down within ``grace`` seconds; after that the arbiter kills the process."""
        self.until = monotonic() + grace
        is_unhandled = signal.getsignal(signal.SIGTERM) == self.handler
        if grace:
            names = self._stop_accepting(others_serve=others_serve)
            self._wait(min(self.until, monotonic() + SETTLE_SECONDS))
            if is_unhandled:
                found = descendants.terminate()
                while self._is_served(names) or descendants.are_there(found):
                    if monotonic() >= self.until:
                        break
                    sleep(_POLL_SECONDS)
        # To the main thread, whose blocking call it has to interrupt.
        signal.pthread_kill(self.main_thread, signal.SIGTERM)
        self._script_handles = not is_unhandled
        if is_unhandled:  # the signal alone would end the process at once
            self._wait(monotonic() + CLEANUP_SECONDS)
            descendants.end(sys.argv[0])
            streams.flush()
            setup.finish()
            os._exit(self.status)

    def shorten(self, grace: float) -> None:
        """Shorten the grace to ``grace`` seconds from now; 0 repeats SIGTERM to a handler."""
        self.until = min(self.until, monotonic() + grace)
        if self._script_handles and not grace:
            signal.pthread_kill(self.main_thread, signal.SIGTERM)

    def _stop_accepting(self, *, others_serve: bool) -> set[object]:
        """Stop accepting. Returns the names of ports that clients may still be connected to."""
        names: set[object] = set()
        until = min(self.until, monotonic() + QUEUE_SECONDS)
        patches = self.patches
        for epoll in patches.accept_manager.epolls() if patches.accept_manager else ():
            names.add(_port(epoll.name))
            epoll.finish(others_serve=others_serve)
            self._wait_empty(epoll, until)
            epoll.finish(others_serve=True)
            if not patches.arbiter.gone:  # without an arbiter the port stays open
                # the arbiter's queue belongs to this worker alone
                self._wait_empty(epoll, self.until)
            epoll.clear()
        for fd in patches.fds.stream_fds():
            epoll_here = patches.epoll_at(fd)
            if epoll_here is not None:
                names.add(_port(epoll_here.name))
                epoll_here.clear()
                continue
            with suppress(OSError):
                listener = socket.socket(fileno=os.dup(fd))
                if not others_serve:
                    self._wait_empty(listener, until)
                names.add(_port(listener.getsockname()))
                dummy = _dummy_listener()
                self._dummies.append(dummy)
                patches.end(fd, dummy)
                listener.close()
        return names

    def _wait_empty(self, listener: socket.socket | AcceptEpoll, until: float) -> None:
        queue = poll()
        queue.register(listener.fileno(), POLLIN)
        while queue.poll(0) and monotonic() < min(until, self.until):
            sleep(_POLL_SECONDS)

    def _is_served(self, names: set[object]) -> bool:
        return _is_served(names, outgoing=self.outgoing, inherited=self.inherited)

    def _wait(self, until: float) -> None:
        while (left := until - monotonic()) > 0:
            sleep(left)


def _dummy_listener() -> socket.socket:
    """Make a listener without an address that clients know, so that accept() finds nothing."""
    if sys.platform == "linux":
        dummy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        dummy.bind("")  # the kernel chooses an abstract name; no file
    else:
        dummy = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        dummy.bind(("127.0.0.1", 0))
    dummy.setblocking(False)
    dummy.listen(0)
    return dummy


def _is_served(
    names: set[object], *, outgoing: bool = False, inherited: frozenset[int] = frozenset()
) -> bool:
    """Whether a connection to one of the ports ``names`` is open.

    With ``outgoing``, also any connection to another program. Not one of ``inherited``.
    """
    try:
        return any(
            _is_connection(each, names, outgoing)
            for each in open_sockets()
            if os.fstat(each.fileno()).st_ino not in inherited
        )
    except OSError:  # no descriptor is free: connections must be open
        return True


def _is_connection(sock: socket.socket, names: set[object], outgoing: bool) -> bool:
    try:
        peer = sock.getpeername()
        if _port(sock.getsockname()) in names:
            return True
    except OSError:  # it is not connected
        return False
    # A socket pair has no names: the channel and the wake-up of a loop are such pairs.
    return outgoing and sock.type == socket.SOCK_STREAM and bool(peer)


def _port(name: object) -> object:
    """Return the part of a socket name that a listener shares with its connections."""
    return name[1] if isinstance(name, tuple) else name
