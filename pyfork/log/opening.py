"""Opening a log file where other users may have placed another file.

In a directory that others may write to, a file must belong to this user, root or the workers, and
have no second link. `directories` decides which symbolic links are followed.
"""

import errno
import os
import stat
from collections.abc import Set

from pyfork.system.directories import follow, is_exposed, trusted

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_log(path: str, workers: Set[int] = frozenset()) -> int:
    """Open the absolute ``path`` for appending; create it if it is missing.

    The descriptor is non-blocking, and never becomes the controlling terminal.

    Args:
        workers: user ids that may own the file, besides root and this user.

    Raises:
        OSError: it cannot be opened, or another user could have placed it.
    """
    directory, name = follow(path)
    try:
        try:
            fd = os.open(name, _FLAGS | os.O_NOFOLLOW, 0o644, dir_fd=directory)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise OSError(errno.ENXIO, "no process reads this FIFO or socket", path) from error
            raise
        try:
            if is_exposed(os.fstat(directory)):
                _check(os.fstat(fd), path, workers | trusted())
        except OSError:
            os.close(fd)
            raise
        return fd
    finally:
        os.close(directory)


def open_owned(path: str, owner: tuple[int, int]) -> int:
    """Open ``path`` as `open_log` does; root gives it to ``owner``, a user and a group id.

    -1 keeps one as it is.

    Raises:
        OSError: as `open_log`, or it cannot be given.
    """
    fd = open_log(path, {owner[0]})
    # Not if root was given up since; and /dev/null stays root's.
    if owner != (-1, -1) and os.geteuid() == 0 and stat.S_ISREG(os.fstat(fd).st_mode):
        os.fchown(fd, *owner)
    return fd


def _check(file: os.stat_result, path: str, owners: Set[int]) -> None:
    """Raise OSError if ``file`` is in a directory that others may write to and not trusted."""
    why = ""
    if not (stat.S_ISREG(file.st_mode) or stat.S_ISFIFO(file.st_mode)):
        why = "it is neither a file nor a FIFO"
    elif file.st_uid not in owners:
        why = f"it belongs to user {file.st_uid}"
    elif file.st_nlink > 1:
        why = "it has another name"
    if why:
        why += ", in a directory that others may write to"
        raise PermissionError(errno.EPERM, why, path)
