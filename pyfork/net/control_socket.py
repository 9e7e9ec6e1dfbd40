"""Where control sockets are: in a directory of the user's own, one file an arbiter.

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

MODE = 0o600  # who may write there may stop the server

Place = tuple[socket.socket, unix.SocketFile | None]

log = logging.getLogger("pyfork.error")


def listen(setting: str) -> Place | None:
    """A listening socket where ``--control`` says; None if that is nowhere, or not to be had.

    A server without a control socket serves as well as any: that one cannot be had is told in
    the log, and loudly only where it was asked for by its path.
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
    log.debug("no control socket: no runtime directory is ours and writable")
    return None


def sockets() -> Iterator[str]:
    """The control sockets that this user may speak to; there may be stale ones among them."""
    if named := named_socket():
        yield named
    for directory in runtime_directories():
        if _is_private(directory, root_may=True):
            yield from sorted(_in(directory))


def _bind(path: str) -> Place:
    return unix.bind(Unix(path), backlog=16, mode=MODE, owner=None)


def _is_private(directory: str, *, root_may: bool = False) -> bool:
    """It is a directory, not a link to one, and nobody else can put anything there.

    ``root_may``: or somebody else's, and this is root, who only looks.
    """
    try:
        found = os.lstat(directory)
    except OSError:
        return False
    mine = found.st_uid == os.geteuid() or (root_may and os.geteuid() == 0)
    return mine and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022


def _in(directory: str) -> list[str]:
    """The paths of the sockets there."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [os.path.join(directory, name) for name in names if name.endswith(".sock")]


def _remove_stale(directory: str) -> None:
    """Remove what killed arbiters left: nobody listens there, and no process has that id.

    Either alone is not enough: another arbiter may be about to listen, or have the same process
    id in another container that shares this directory.
    """
    for path in _in(directory):
        pid = os.path.basename(path).removesuffix(".sock")
        if pid.isdecimal() and not is_alive(int(pid)) and unix.is_stale(path):
            with contextlib.suppress(OSError):
                os.unlink(path)
