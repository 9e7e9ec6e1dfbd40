"""The pid file: holds the process id of the arbiter.

Other users may be able to write to its directory. So the file is written under a new, unpredictable
name, and then renamed. A file with the final name is never opened for writing, and read only if it
is a regular file.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from pyfork.errors import PyforkError
from pyfork.record import record
from pyfork.system.directories import open_parent


class PidFileError(PyforkError):
    """The file cannot be written, or belongs to a running server."""


@record
class PidFile:
    """A file that holds this process id, from `claim` to `release`."""

    path: str  # absolute

    @classmethod
    def claim(cls, path: str) -> "PidFile":
        """Write this process id to ``path``, unless it holds that of a live process.

        Raises:
            PidFileError: that is so, or the file cannot be written.
        """
        path = os.path.abspath(path)
        holder = _read(path)
        if holder is not None and holder != os.getpid() and is_alive(holder):
            raise PidFileError(
                f"--pid {path}: process {holder} is alive and has this file; stop it, or remove "
                "the file if that process is another program"
            )
        return cls.take(path)

    @classmethod
    def take(cls, path: str) -> "PidFile":
        """Write this process id to ``path``, in place of the old arbiter's.

        Raises:
            PidFileError: the file cannot be written.
        """
        path = os.path.abspath(path)
        try:
            _write(path)
        except OSError as error:
            raise PidFileError(f"--pid {path}: cannot be written: {error.strerror}") from error
        return cls(path)

    def release(self) -> None:
        """Remove the file, if it still holds this process id."""
        with contextlib.suppress(OSError), _parent(self.path) as (directory, name):
            if _read_in(directory, name) == os.getpid():
                os.unlink(name, dir_fd=directory)


@contextlib.contextmanager
def _parent(path: str) -> Iterator[tuple[int, str]]:
    """The directory of ``path``, open, and the name there. Raises OSError."""
    directory = open_parent(path)
    try:
        yield directory, os.path.basename(path)
    finally:
        os.close(directory)


def _write(path: str) -> None:
    """Write the number atomically: a reader never finds half of it. Raises OSError."""
    with _parent(path) as (directory, name):
        _check_kind(directory, name)
        draft = f".{name[:200]}.{os.urandom(12).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(draft, flags, 0o644, dir_fd=directory)
        try:
            with open(fd, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
            os.replace(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=directory)
            raise


def _check_kind(directory: int, name: str) -> None:
    """Raises OSError if ``name`` is no regular file, for example a device."""
    try:
        kind = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(kind) or stat.S_ISLNK(kind)):
        raise OSError(errno.EEXIST, "it is not a regular file")


def _read(path: str) -> int | None:
    try:
        with _parent(path) as (directory, name):
            return _read_in(directory, name)
    except OSError:
        return None


def _read_in(directory: int, name: str) -> int | None:
    """The process id in a regular file; None if there is none. Raises OSError."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    with open(fd, "rb") as file:
        text = file.read(32) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    try:
        pid = int(text)
    except ValueError:
        return None
    return pid if pid > 0 else None  # kill() takes other numbers for process groups


def is_alive(pid: int) -> bool:
    """Whether a process of any user has this id."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
