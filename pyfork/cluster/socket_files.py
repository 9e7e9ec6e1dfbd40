"""Socket files that the arbiter has made: a script's own unlink() leaves them where they are.

Scripts remove the file that the last run has left before they bind, and their own at the end. Here
the file serves other processes too; the arbiter removes it at the end of the port.
"""

import os
import stat
from collections.abc import Callable, Container
from functools import wraps
from typing import Any


def guard(holds: Callable[[str], bool], made: Container[str]) -> None:
    """Have os.unlink() and os.remove() do nothing to such a file, from now on.

    Args:
        holds: whether the arbiter has the file at an absolute path. Raises OSError.
        made: paths at which this process has had one: it may be gone already.
    """
    os.unlink = _guarded(os.unlink, holds, made)
    os.remove = _guarded(os.remove, holds, made)


def _guarded(
    unlink: Callable[..., None], holds: Callable[[str], bool], made: Container[str]
) -> Callable[..., None]:
    @wraps(unlink)
    def guarded(path: Any, *, dir_fd: int | None = None) -> None:
        if dir_fd is None and _is_held(path, holds):
            return None
        try:
            return unlink(path, dir_fd=dir_fd)
        except FileNotFoundError:
            # At the end of the port the arbiter does so itself.
            if dir_fd is not None or os.path.abspath(os.fsdecode(path)) not in made:
                raise

    return guarded


def _is_held(path: Any, holds: Callable[[str], bool]) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        return holds(os.path.abspath(os.fsdecode(path)))
    except (OSError, TypeError, ValueError):  # unlink() will say what is wrong
        return False


def umask() -> int:
    """That of this process."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
