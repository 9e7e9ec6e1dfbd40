"""The paths of control sockets: one file for each arbiter, in a private directory of the user.

Rules: knows paths, owners and modes; no connection, no protocol.
"""

import contextlib
import logging
import os
import socket
import stat
from collections.abc import Iterator

from pyfork.address import Unix
from pyfork.errors import BindError
from pyfork.net import unix
from pyfork.system.environment import named_socket, runtime_directories
from pyfork.system.pidfile import is_alive

MODE = 0o600  # write permission is permission to stop the server

BoundSocket = tuple[socket.socket, unix.SocketFile | None]

log = logging.getLogger("pyfork.error")


def listen(setting: str) -> BoundSocket | None:
    """Listen at the path that ``--control`` sets. None: it is off, or cannot be bound.

    A server works without a control socket. So a failure is only logged: as a warning if
    ``--control`` names the path, for debugging otherwise.
    """
    if setting == "off":
        return None
    if setting != "auto":
        try:
            return _bind(setting)
        except BindError as error:
            log.warning("--control %s: no control socket: %s", setting, error)
            return None
    for directory in runtime_directories():
        with contextlib.suppress(OSError):
            os.mkdir(directory, mode=0o700)
        if not _is_private(directory):
            continue
        _remove_stale(directory)
        with contextlib.suppress(BindError):  # a read-only system, a path that is too long
            return _bind(os.path.join(directory, f"{os.getpid()}.sock"))
    log.debug("no control socket: this user has no private, writable runtime directory")
    return None


def sockets() -> Iterator[str]:
    """The paths of control sockets that this user may open. Some may be stale."""
    if named := named_socket():
        yield named
    for directory in runtime_directories():
        if _is_private(directory, root_may=True):
            yield from sorted(_in(directory))


def _bind(path: str) -> BoundSocket:
    return unix.bind(Unix(path), backlog=16, mode=MODE, owner=None)


def _is_private(directory: str, *, root_may: bool = False) -> bool:
    """Whether the path is a directory, not a link, which no other user can write to.

    ``root_may``: if this process is root, the directory may belong to another user.
    """
    try:
        found = os.lstat(directory)
    except OSError:
        return False
    mine = found.st_uid == os.geteuid() or (root_may and os.geteuid() == 0)
    return mine and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022


def _in(directory: str) -> list[str]:
    """The paths of the sockets in the directory."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [os.path.join(directory, name) for name in names if name.endswith(".sock")]


def _remove_stale(directory: str) -> None:
    """Remove the sockets of killed arbiters: no process listens, and none has that process id.

    Both are checked. Another arbiter may be about to listen, and one in another container may have
    the same process id and share this directory.
    """
    for path in _in(directory):
        pid = os.path.basename(path).removesuffix(".sock")
        if pid.isdecimal() and not is_alive(int(pid)) and unix.is_stale(path):
            with contextlib.suppress(OSError):
                os.unlink(path)
