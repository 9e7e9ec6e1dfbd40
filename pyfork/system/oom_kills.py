"""Out-of-memory kills by the kernel in the control group of this process.

The counter ``oom_kill`` is in ``memory.events`` (version 2, including the groups below) or in
``memory.oom_control`` (version 1). Linux only; elsewhere nothing is known.
"""

import os
from collections.abc import Iterator

_V1, _V2 = "memory.oom_control", "memory.events"


class OomKills:
    """The counter of one control group.

    Args:
        groups: file that names the groups of this process, see cgroups(7).
        mount: where control groups are mounted.
    """

    def __init__(self, groups: str = "/proc/self/cgroup", mount: str = "/sys/fs/cgroup") -> None:
        self._counters = [path for path in _counters(groups, mount) if _count(path) is not None]
        self._reported = self._read()

    @property
    def known(self) -> bool:
        """Whether there is a counter."""
        return bool(self._counters)

    def happened(self) -> bool:
        """Whether there was a kill that no earlier call has reported."""
        if self._read() <= self._reported:
            return False
        self._reported += 1
        return True

    def _read(self) -> int:
        return max((_count(path) or 0 for path in self._counters), default=0)


def _counters(groups: str, mount: str) -> Iterator[str]:
    """Files that may have the counter.

    In a container, the directory of the group is often the mount point itself.
    """
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
