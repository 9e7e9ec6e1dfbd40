"""Unix sockets: their files, with owner and mode, and stale ones."""

import contextlib
import errno
import os
import socket
import stat

from pyfork.address import Unix
from pyfork.errors import BindError
from pyfork.net import bind_errors
from pyfork.record import record
from pyfork.system.users import group_id, user_id


@record
class SocketFile:
    """The file of a bound unix socket, identified by its inode: the path may be bound again."""

    path: str  # absolute: the working directory may change
    device: int
    inode: int

    def remove(self) -> None:
        """Unlink the file, if the path still names it."""
        with contextlib.suppress(FileNotFoundError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                os.unlink(self.path)


def bind(
    address: Unix, *, backlog: int, mode: int, owner: str | None
) -> tuple[socket.socket, SocketFile | None]:
    """Listen at ``address``. Returns the socket, and its file unless the address is abstract.

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
            file = _bind_file(made, address.path, mode)
            # Before listen() no client can connect: the owner is set in time.
            if (uid, gid) != (-1, -1):
                _change_owner(file, uid, gid)
        made.listen(backlog)
    except BaseException as error:
        made.close()
        if file is not None:
            file.remove()
        if isinstance(error, OSError):
            raise BindError(bind_errors.explain(address, error)) from error
        raise
    return made, file


def _bind_file(made: socket.socket, path: str, mode: int) -> SocketFile:
    """Bind to ``path``. The file is created with ``mode``, since chmod() by name follows links."""
    with contextlib.suppress(OSError):  # Linux: where the directory has a default ACL
        os.fchmod(made.fileno(), mode)
    before = os.umask(~mode & 0o777)
    try:
        made.bind(path)
    finally:
        os.umask(before)
    found = os.lstat(path)
    return SocketFile(os.path.abspath(path), found.st_dev, found.st_ino)


def _change_owner(file: SocketFile, uid: int, gid: int) -> None:
    """Change the owner of our socket file, and of no file that another process put there.

    Raises:
        BindError: another file is there.
        OSError: the owner cannot be changed, or the file is gone.
    """
    if not hasattr(os, "O_PATH"):
        os.chown(file.path, uid, gid, follow_symlinks=False)
        return
    fd = os.open(file.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        made = stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid()
        if not made or found.st_nlink != 1:
            raise BindError(f"cannot listen on unix:{file.path}: another process put a file there")
        os.chown(f"/proc/self/fd/{fd}", uid, gid)
    finally:
        os.close(fd)


def file_of(path: str) -> SocketFile | None:
    """The file of a bound socket; None if the address is abstract, or the file is gone."""
    if not path or path.startswith("\0"):
        return None
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return SocketFile(os.path.abspath(path), found.st_dev, found.st_ino)


def _clear(address: Unix) -> None:
    """Remove a stale socket file. Raises BindError or OSError for any other file."""
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
    """Whether a connection is refused. Any other result means that a process listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _owner_ids(owner: str | None) -> tuple[int, int]:
    """User and group id of "user", "user:group" or ":group"; -1 for a missing one."""
    user, _, group = (owner or "").partition(":")
    uid = gid = -1
    try:
        if user:
            uid = user_id(user)
        if group:
            gid = group_id(group)
    except KeyError as error:
        name = user if uid == -1 and user else group
        raise BindError(
            f"unix socket owner {owner!r}: {name!r} is not known on this machine; write "
            "USER, USER:GROUP or numeric ids"
        ) from error
    return uid, gid
