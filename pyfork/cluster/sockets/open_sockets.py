"""The open sockets of this process, including those made in C."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from socket import SO_ACCEPTCONN, SOL_SOCKET, socket  # before gevent patches it

from pyfork.net.bind import bound_address


def listening_sockets(is_known: Callable[[int], bool]) -> list[str]:
    """Return the addresses of listening sockets whose inode is not known."""
    found = []
    for sock in open_sockets():
        with suppress(OSError):
            if _listens(sock) and not is_known(os.fstat(sock.fileno()).st_ino):
                found.append(str(bound_address(sock)))
    return found


def open_sockets() -> Iterator[socket]:
    """Yield every socket of this process, for inspection only.

    No duplicates are made: those would keep a connection open that its owner closes. Raises
    OSError if no descriptor is free.
    """
    for fd in _open_fds():
        try:
            each = socket(fileno=fd)
        except OSError:  # no socket, or closed meanwhile
            continue
        try:
            yield each
        finally:
            each.detach()


def open_inodes() -> Iterator[int]:
    """Yield the inode behind every descriptor of this process."""
    for fd in _open_fds():
        with suppress(OSError):  # closed meanwhile
            yield os.fstat(fd).st_ino


def _open_fds() -> list[int]:
    """Return the open descriptors of this process; some may be closed meanwhile."""
    where = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return [int(each) for each in os.listdir(where)]


def _listens(sock: socket) -> bool:
    return bool(sock.getsockopt(SOL_SOCKET, SO_ACCEPTCONN))
