"""The file that tells other programs the arbiter's process id."""

import contextlib
import os

from pyfork.errors import PyforkError
from pyfork.record import record


class PidFileError(PyforkError):
    """The file cannot be written, or belongs to a server that is alive."""


@record
class PidFile:
    """A file that holds our process id, from `claim` to `release`."""

    path: str  # absolute

    @classmethod
    def claim(cls, path: str) -> "PidFile":
        """Write our process id to ``path``, unless a live process's is there.

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
        """Write our process id to ``path``, whoever's was there: we follow another arbiter.

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
        """Remove the file, if it still holds our process id."""
        if _read(self.path) == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def _write(path: str) -> None:
    """In one step, so that a reader never finds half a number."""
    draft = f"{path}.{os.getpid()}"
    try:
        with open(draft, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        os.replace(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def _read(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            pid = int(file.read(32))
    except (OSError, ValueError):
        return None
    return pid if pid > 0 else None  # kill() would take the rest for groups


def is_alive(pid: int) -> bool:
    """Whether a process has this id, whoever's it is."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
