"""Opening a log file where other users may have put something else at its name.

Root writes wherever a link leads, and gives what it has made to ``--user``: who could plant a link
would have any file appended to, and own it. So in a directory that others may write to, a link is
followed only if it is root's or our own, and a file is taken only if it is ours, root's or the
workers', and has no second name. Each directory on the way is opened from the one before it, so
nothing can be exchanged between a look and the use.
"""

import errno
import os
import stat
from collections.abc import Set

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS = 40  # as Linux


def open_log(path: str, workers: Set[int] = frozenset()) -> int:
    """A descriptor that appends to the absolute ``path``, which is made if it is missing.

    It is non-blocking, and never becomes the controlling terminal.

    Args:
        workers: user ids that may own the file, besides root and our own.

    Raises:
        OSError: it cannot be opened, or others could have planted it.
    """
    directory, name = _resolved(path)
    try:
        try:
            fd = os.open(name, _FLAGS | os.O_NOFOLLOW, 0o644, dir_fd=directory)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise OSError(errno.ENXIO, "no process reads this FIFO or socket", path) from error
            raise
        try:
            if _is_exposed(os.fstat(directory)):
                _check(os.fstat(fd), path, workers | _trusted())
        except OSError:
            os.close(fd)
            raise
        return fd
    finally:
        os.close(directory)


def _resolved(path: str) -> tuple[int, str]:
    """The directory that ``path`` is in, open, and its name there, which was no link."""
    directory, left, links = os.open("/", _STEP), path.split("/"), 0
    try:
        while True:
            name = left.pop(0)
            if name and _is_link(name, directory):
                links += 1
                target = _target(name, directory, path, links)
                left = [*target.split("/"), *left]
                name = "/" if target.startswith("/") else ""
            elif not left:
                return directory, name
            if name:
                inner = os.open(name, _STEP | os.O_NOFOLLOW, dir_fd=directory)
                os.close(directory)
                directory = inner
    except BaseException:
        os.close(directory)
        raise


def _is_link(name: str, directory: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _target(name: str, directory: int, path: str, links: int) -> str:
    """Where the link ``name`` leads to. Raises OSError: it is not to be followed."""
    owner = os.stat(name, dir_fd=directory, follow_symlinks=False).st_uid
    if _is_exposed(os.fstat(directory)) and owner not in _trusted():
        why = f"{name} is a symbolic link of user {owner} in a directory that others may write to"
        raise PermissionError(errno.EPERM, why, path)
    if links > _MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return os.readlink(name, dir_fd=directory)


def _is_exposed(directory: os.stat_result) -> bool:
    """Whether users whom this process need not trust may write to it."""
    if os.geteuid() == 0:
        return directory.st_uid != 0 or bool(directory.st_mode & 0o022)
    return bool(directory.st_mode & 0o002)


def _check(file: os.stat_result, path: str, owners: Set[int]) -> None:
    """Raises OSError: in a directory that others may write to, ``file`` is not to be used."""
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


def _trusted() -> Set[int]:
    return {0, os.geteuid()}
