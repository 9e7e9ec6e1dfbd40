"""Sockets of this process that listen, whoever made them."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress

from pyfork.net.bind import bound_address


def listening_sockets(known: Callable[[int], bool]) -> list[str]:
    """The addresses of those whose inode is not ``known``."""
    found = []
    for fd in open_fds():
        with suppress(OSError), socket.socket(fileno=os.dup(fd)) as each:
            if _listens(each) and not known(os.fstat(fd).st_ino):
                found.append(str(bound_address(each)))
    return found


def open_fds() -> list[int]:
    """The descriptors of this process; some may be closed by now."""
    where = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return [int(each) for each in os.listdir(where)]


def _listens(each: socket.socket) -> bool:
    return bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
