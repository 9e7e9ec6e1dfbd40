"""Processes that the application forks: nothing of the worker is theirs.

`multiprocessing`, process pools and `os.fork` copy all descriptors and handlers. A copy of a
listener keeps the port, one of a client's connection keeps the client waiting, and the wakeup
descriptor of the loop, which they share, passes their signals to the worker. What is executed, as
`subprocess` does it, has none of these: they are closed on exec.
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
    """What has one."""

    def fileno(self) -> int: ...


def disown(
    addresses: Iterable[object], private: Sequence[Descriptor], termination: Termination
) -> None:
    """Have each process that is forked from now on give up what it has of this worker.

    Args:
        addresses: as by ``getsockname``, of the listeners.
        private: what else has a descriptor, or -1 for one that was closed.
        termination: who handles SIGTERM; a handler of the application's is kept.
    """
    ports = {_port(each) for each in addresses}
    masks: dict[int, set[Any]] = {}  # by the thread that forks

    def before() -> None:
        # A signal that came before the child's handlers are its own would be lost.
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
    """Close what they are. The numbers stay taken: objects that have them may close them later."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        with suppress(OSError):  # closed
            os.fstat(fd)
            os.dup2(null, fd, inheritable=False)
    os.close(null)


def _served(ports: set[object]) -> Iterator[int]:
    """Descriptors of sockets that are bound to one of ``ports``: listeners and connections."""
    for name in os.listdir(_DESCRIPTORS):
        try:
            found = socket.socket(fileno=int(name))
        except OSError:  # no socket
            continue
        try:
            if found.type == socket.SOCK_STREAM and _port(found.getsockname()) in ports:
                yield int(name)
        except OSError:
            continue
        finally:
            found.detach()


def _port(address: object) -> object:
    """What a listener and its connections have in common."""
    return address[1] if isinstance(address, tuple) else address
