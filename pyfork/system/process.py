"""The memory of a process."""

import os


def resident(pid: int | None = None) -> int | None:
    """The resident set of a process, by default of this one, in bytes; None if it is gone."""
    try:
        with open(f"/proc/{pid or 'self'}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        pass
    import psutil  # on systems without /proc

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
