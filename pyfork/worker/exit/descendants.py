"""Processes that the application forks: they must not keep the worker's descriptors.

`multiprocessing`, process pools and `os.fork` copy all descriptors and handlers. A copy of a
listener keeps the port, a copy of a connection keeps its client waiting. The wake-up descriptor of
the loop would pass the child's signals to the worker. Programs that are executed have none of
them: they are closed on exec.
"""

import os
import signal
import socket
from _thread import get_ident
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

from pyfork.worker.exit.termination import Termination

_ENDING = (signal.SIGTERM, signal.SIGQUIT)

_DESCRIPTORS = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"


class Descriptor(Protocol):
    """An object with a descriptor."""

    def fileno(self) -> int: ...


def release_in_children(
    addresses: Iterable[object], private: Sequence[Descriptor], termination: Termination
) -> None:
    """Make each forked process close its copies of this worker's descriptors.

    Args:
        addresses: of the listeners, as from ``getsockname``.
        private: other objects with a descriptor, or -1 for one that was closed.
        termination: the owner of SIGTERM; a handler of the application is kept.
    """
    ports = {_port(each) for each in addresses}
    masks: dict[int, set[Any]] = {}  # signal masks by the thread that forks

    def before() -> None:
        # Signals are blocked until the child has its own handlers, or they would be lost.
        masks[get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)

    def after() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop(get_ident()))

    def in_child() -> None:
        signal.set_wakeup_fd(-1)
        if termination.is_ours():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
        _drop((*(each.fileno() for each in private), *_served(ports)))
        after()

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=in_child)


def _drop(fds: Iterable[int]) -> None:
    """Replace ``fds`` by /dev/null; the numbers stay taken, since other objects may close them
    later."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        with suppress(OSError):  # closed
            os.fstat(fd)
            os.dup2(null, fd, inheritable=False)
    os.close(null)


def _served(ports: set[object]) -> Iterator[int]:
    """Return the descriptors of listeners and connections on one of ``ports``."""
    for name in os.listdir(_DESCRIPTORS):
        try:
            found = socket.socket(fileno=int(name))
        except OSError:  # not a socket
            continue
        try:
            if found.type == socket.SOCK_STREAM and _port(found.getsockname()) in ports:
                yield int(name)
        except OSError:
            continue
        finally:
            found.detach()


def _port(address: object) -> object:
    """Return the part of a socket name that a listener shares with its connections."""
    return address[1] if isinstance(address, tuple) else address
