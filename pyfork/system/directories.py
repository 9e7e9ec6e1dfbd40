"""Directories that other users may write to, and the way to a file there.

Root may write to any file, and may change its owner to ``--user``: a user who can place a link on
the path could get any file written and owned. So a link of another user in such a directory is
followed only into a directory of the same user, who gains nothing by it (a deploy's ``current ->
releases/42``). In a directory that everybody may write to, no such link is followed. Each directory
is opened relative to the one before it, and a link is read from the inode that was checked: nothing
can be replaced between check and use.
"""

import errno
import os
import stat
from collections.abc import Set

_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS = 40  # as Linux


def open_parent(path: str) -> int:
    """The directory of the absolute ``path``, open. The last name of ``path`` is not looked at.

    Raises:
        OSError: it cannot be opened, or another user's link is on the way.
    """
    directory, _ = follow(os.path.join(os.path.dirname(path), "."))
    return directory


def follow(path: str) -> tuple[int, str]:
    """The directory that the absolute ``path`` leads to, open, and the name there, which was no
    link or did not exist.

    Raises:
        OSError: it cannot be opened, or another user's link leads out of that user's directories.
    """
    directory, left, links = os.open("/", _STEP), path.split("/"), 0
    strangers: dict[int, str] = {}  # the names of the links that were followed, by their owners
    try:
        while True:
            name = left.pop(0)
            if name and (link := _read_link(name, directory)) is not None:
                owner, target = link
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if _is_strange(owner, os.fstat(directory), name, path):
                    strangers[owner] = name
                left = [*target.split("/"), *left]
                name = "/" if target.startswith("/") else ""
            elif not left:
                _check_owner(directory, strangers, path)
                return directory, name
            if name:
                inner = os.open(name, _STEP | os.O_NOFOLLOW, dir_fd=directory)
                os.close(directory)
                directory = inner
    except BaseException:
        os.close(directory)
        raise


def is_exposed(directory: os.stat_result) -> bool:
    """Whether users whom this process need not trust may write to it."""
    if os.geteuid() == 0:
        return directory.st_uid != 0 or bool(directory.st_mode & 0o022)
    return bool(directory.st_mode & 0o002)


def trusted() -> Set[int]:
    """The user ids of which a link or file may be anywhere: root's and our own."""
    return {0, os.geteuid()}


def _read_link(name: str, directory: int) -> tuple[int, str] | None:
    """The owner and the target of the link ``name``; None if it is none, or does not exist."""
    try:
        if not hasattr(os, "O_PATH"):
            about = os.stat(name, dir_fd=directory, follow_symlinks=False)
            is_link = stat.S_ISLNK(about.st_mode)
            return (about.st_uid, os.readlink(name, dir_fd=directory)) if is_link else None
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    try:
        about = os.fstat(fd)
        is_link = stat.S_ISLNK(about.st_mode)
        return (about.st_uid, os.readlink("", dir_fd=fd)) if is_link else None
    finally:
        os.close(fd)


def _is_strange(owner: int, directory: os.stat_result, name: str, path: str) -> bool:
    """Whether a link is another user's, who could have placed it. Raises OSError: it is not to be
    followed at all."""
    if owner in trusted() or not is_exposed(directory):
        return False
    if directory.st_mode & 0o002:
        why = f"{name} is a symbolic link of user {owner} in a directory that others may write to"
        raise PermissionError(errno.EPERM, why, path)
    return True


def _check_owner(directory: int, strangers: dict[int, str], path: str) -> None:
    """Raise OSError if another user's link led into a directory that is not that user's."""
    leads_to = os.fstat(directory).st_uid
    for owner, name in strangers.items():
        if owner != leads_to:
            why = f"{name} is a symbolic link of user {owner} to a directory of user {leads_to}"
            raise PermissionError(errno.EPERM, why, path)
