"""Which state of the application's own source files a process has imported."""

import os
import sys
from collections.abc import Iterable


def code_version(directories: Iterable[str]) -> tuple[int, float]:
    """The number of imported source files below ``directories``, and the newest of their mtimes.

    Files of installed packages do not count.
    """
    ours = tuple(f"{os.path.abspath(each)}{os.sep}" for each in directories)
    installed = (f"{sys.prefix}{os.sep}", f"{sys.base_prefix}{os.sep}")
    count, newest = 0, 0.0
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.startswith(ours) or file.startswith(installed):
            continue
        try:
            mtime = os.stat(file).st_mtime
        except OSError:  # it was deleted since
            continue
        count, newest = count + 1, max(newest, mtime)
    return count, newest
