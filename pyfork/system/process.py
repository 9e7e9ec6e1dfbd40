"""How much memory a process has."""

import os


def resident(pid: int | None = None) -> int | None:
    """Bytes that a process, or this one, has in RAM; None if it is gone."""
    try:
        with open(f"/proc/{pid or 'self'}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        pass
    import psutil  # where there is no such file

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
