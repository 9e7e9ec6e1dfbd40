"""Socket files that the arbiter has made: a script's own unlink() does not remove them.

Scripts remove an old file before they bind, and their own file at the end. Other processes still
use the file here; the arbiter removes it when it closes the port.
"""

import os
import stat
from collections.abc import Callable, Container
from functools import wraps
from typing import Any


def guard(holds: Callable[[str], bool], made: Container[str]) -> None:
    """Make os.unlink() and os.remove() ignore such files.

    Args:
        holds: whether the arbiter has the file at an absolute path. Raises OSError.
        made: paths that this process has bound; the file may already be gone.
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
            # The arbiter removes the file when it closes the port.
            if dir_fd is not None or os.path.abspath(os.fsdecode(path)) not in made:
                raise

    return guarded


def _is_held(path: Any, holds: Callable[[str], bool]) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        return holds(os.path.abspath(os.fsdecode(path)))
    except (OSError, TypeError, ValueError):  # unlink() reports it
        return False


def umask() -> int:
    """Return the umask of this process."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
