"""The number of CPUs that this process may use, for ``--workers auto``.

The least of the affinity mask and of the cgroup's CPU quotas (versions 1 and 2). A quota of 1.5
CPUs is two workers: rounding down would leave a part of it unused.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable(root: Path = Path("/")) -> int:
    """The number of CPUs, at least 1. ``root``: the directory of proc/ and sys/."""
    quotas = [quota for group in _groups(root) if (quota := _quota(group)) is not None]
    return max(1, min([_affinity(), *map(math.ceil, quotas)]))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _groups(root: Path) -> Iterator[Path]:
    """The directories of this process's cgroups and of all above them, up to the mount point.

    Each may set a quota. Inside a container the named path often does not exist, since the mount
    shows the container's own group as its top; the walk upwards ends there.
    """
    mounted = root / "sys/fs/cgroup"
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = mounted / controllers
        group = top / path.strip("/")
        yield group
        yield from (above for above in group.parents if above.is_relative_to(top))


def _quota(group: Path) -> float | None:
    """The quota that one directory sets, in CPUs; None for no limit."""
    limit = (_read(group / "cpu.max") or "").split()
    if not limit:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        limit = [text for name in names if (text := _read(group / name)) is not None]
    if len(limit) != 2 or limit[0].strip() in ("max", "-1"):
        return None
    return int(limit[0]) / int(limit[1])


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
