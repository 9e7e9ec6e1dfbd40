"""Unix sockets: the file that a path leaves behind, who may open it, and whether it is stale."""

import contextlib
import errno
import os
import socket
import stat

from pyfork.errors import BindError
from pyfork.net import refusal
from pyfork.net.address import Unix
from pyfork.record import record


@record
class SocketFile:
    """The file of a bound unix socket, known by its inode: the path may become another's."""

    path: str  # absolute: the process may change its directory
    device: int
    inode: int

    def remove(self) -> None:
        """Unlink it, if the path still leads to it."""
        with contextlib.suppress(FileNotFoundError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                os.unlink(self.path)


def bind(
    address: Unix, *, backlog: int, mode: int, owner: str | None
) -> tuple[socket.socket, SocketFile | None]:
    """A listening socket at ``address``, and its file unless the address is abstract.

    Raises:
        BindError: the path is taken, cannot be written, or ``owner`` is unknown.
    """
    uid, gid = _owner_ids(owner)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    file = None
    try:
        made.setblocking(False)
        if address.abstract:
            made.bind(address.path)
        else:
            _clear(address)
            file = _bind_file(made, address.path)
            # Until listen(), connecting is refused: nobody gets in under the wrong mode.
            os.chmod(address.path, mode)
            if (uid, gid) != (-1, -1):
                os.chown(address.path, uid, gid)
        made.listen(backlog)
    except BaseException as error:
        made.close()
        if file is not None:
            file.remove()
        if isinstance(error, OSError):
            raise BindError(refusal.explain(address, error)) from error
        raise
    return made, file


def _bind_file(made: socket.socket, path: str) -> SocketFile:
    made.bind(path)
    found = os.lstat(path)
    return SocketFile(os.path.abspath(path), found.st_dev, found.st_ino)


def file_of(path: str) -> SocketFile | None:
    """The file at the path of a bound socket; None for an abstract one, or if it is gone."""
    if not path or path.startswith("\0"):
        return None
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return SocketFile(os.path.abspath(path), found.st_dev, found.st_ino)


def _clear(address: Unix) -> None:
    """Remove a socket file that no process listens on any more; refuse anything else."""
    try:
        mode = os.lstat(address.path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(
            f"cannot listen on {address}: a file that is not a socket is there; remove it or "
            "choose another path"
        )
    if is_stale(address.path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address.path)
        return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def is_stale(path: str) -> bool:
    """Connecting is refused. Any other answer (a full queue, another type) is a sign of life."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _owner_ids(owner: str | None) -> tuple[int, int]:
    """User and group id of "user", "user:group" or ":group"; -1 leaves one as it is."""
    user, _, group = (owner or "").partition(":")
    uid = gid = -1
    try:
        if user:
            uid = int(user) if user.isdecimal() else _user_id(user)
        if group:
            gid = int(group) if group.isdecimal() else _group_id(group)
    except KeyError as error:
        name = user if uid == -1 and user else group
        raise BindError(
            f"unix socket owner {owner!r}: {name!r} is not known on this machine; write "
            "USER, USER:GROUP or numeric ids"
        ) from error
    return uid, gid


def _user_id(name: str) -> int:
    import pwd

    return pwd.getpwnam(name).pw_uid


def _group_id(name: str) -> int:
    import grp

    return grp.getgrnam(name).gr_gid
