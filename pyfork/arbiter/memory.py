"""Whether the kernel has killed a process of this control group for want of memory.

Control groups count that as ``oom_kill``: version 2 in ``memory.events``, also for the groups
below, version 1 in ``memory.oom_control``. Linux only; elsewhere nothing is known.
"""

import os
from collections.abc import Iterator

_V1, _V2 = "memory.oom_control", "memory.events"


class OomKills:
    """The counter of one control group.

    Args:
        groups: file that says which group this process is in, see cgroups(7).
        mount: where control groups are mounted.
    """

    def __init__(self, groups: str = "/proc/self/cgroup", mount: str = "/sys/fs/cgroup") -> None:
        self._counters = [path for path in _counters(groups, mount) if _count(path) is not None]
        self._told = self._read()

    @property
    def known(self) -> bool:
        """Whether somebody counts."""
        return bool(self._counters)

    def happened(self) -> bool:
        """Whether there is one that was not told yet; it is told now."""
        if self._read() <= self._told:
            return False
        self._told += 1
        return True

    def _read(self) -> int:
        return max((_count(path) or 0 for path in self._counters), default=0)


def _counters(groups: str, mount: str) -> Iterator[str]:
    """Files that may have the counter. In a container the group's own directory is often the
    mount itself."""
    try:
        with open(groups) as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        names = controllers.split(",")
        if not controllers:
            places, name = [mount, os.path.join(mount, "unified")], _V2
        else:
            places, name = [os.path.join(mount, "memory")] if "memory" in names else [], _V1
        for place in places:
            own = os.path.join(place, group.lstrip("/"), name)
            yield own if os.path.exists(own) else os.path.join(place, name)


def _count(path: str) -> int | None:
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(" ")
        if key == "oom_kill" and value.isdecimal():
            return int(value)
    return None
