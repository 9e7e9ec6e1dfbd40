"""Sockets of this process that listen, whoever made them."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from socket import SO_ACCEPTCONN, SOL_SOCKET, socket  # as they are before gevent's patch

from pyfork.net.bind import bound_address


def listening_sockets(known: Callable[[int], bool]) -> list[str]:
    """The addresses of those whose inode is not ``known``."""
    found = []
    for each in open_sockets():
        with suppress(OSError):
            if _listens(each) and not known(os.fstat(each.fileno()).st_ino):
                found.append(str(bound_address(each)))
    return found


def open_sockets() -> Iterator[socket]:
    """All of this process, one after the other, to be looked at and not kept: no copies, since
    they would hold a connection open that its owner closes. Raises OSError if there is no
    descriptor left to look with."""
    for fd in _open_fds():
        try:
            each = socket(fileno=fd)
        except OSError:  # no socket, or closed by now
            continue
        try:
            yield each
        finally:
            each.detach()


def _open_fds() -> list[int]:
    """The descriptors of this process; some may be closed by now."""
    where = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return [int(each) for each in os.listdir(where)]


def _listens(each: socket) -> bool:
    return bool(each.getsockopt(SOL_SOCKET, SO_ACCEPTCONN))
