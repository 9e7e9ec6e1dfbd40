"""``--workers auto`` on directory trees as the kernel shows them."""

import os
from pathlib import Path

import pytest

from pyfork.system.cpus import usable

HERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
V2 = {"proc/self/cgroup": "0::/app\n"}
V1 = {"proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/docker/abc\n0::/\n"}
CPU = "sys/fs/cgroup/cpu,cpuacct"


def v1(quota: int, period: int, group: str = "docker/abc/") -> dict[str, str]:
    return V1 | {
        f"{CPU}/{group}cpu.cfs_quota_us": f"{quota}\n",
        f"{CPU}/{group}cpu.cfs_period_us": f"{period}\n",
    }


TREES: dict[str, tuple[dict[str, str], int]] = {
    "no cgroups": ({}, HERE),
    "v2 without a limit": (V2 | {"sys/fs/cgroup/app/cpu.max": "max 100000\n"}, HERE),
    "v2 one CPU": (V2 | {"sys/fs/cgroup/app/cpu.max": "100000 100000\n"}, 1),
    "v2 a tenth of a CPU": (V2 | {"sys/fs/cgroup/app/cpu.max": "10000 100000\n"}, 1),
    "v2 a limit above": (
        V2 | {"sys/fs/cgroup/app/cpu.max": "max 1\n", "sys/fs/cgroup/cpu.max": "5 10\n"},
        1,
    ),
    "v2 seen from inside a container": (V2 | {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    "v2 more than there is": (V2 | {"sys/fs/cgroup/app/cpu.max": "99900000 100000\n"}, HERE),
    "v1 without a limit": (v1(-1, 100000), HERE),
    "v1 one CPU": (v1(100000, 100000), 1),
    "v1 seen from inside a container": (v1(50000, 100000, group=""), 1),
    "v1 of another controller": (
        V1 | {"sys/fs/cgroup/memory/m/cpu.max": "100000 100000\n"},
        HERE,
    ),
}


def grow(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(("files", "count"), TREES.values(), ids=TREES)
def test_the_least_limit_counts(files: dict[str, str], count: int, tmp_path: Path) -> None:
    grow(tmp_path, files)
    assert usable(tmp_path) == count


@pytest.mark.skipif(HERE < 2, reason="one CPU cannot tell rounding up from rounding down")
def test_a_part_of_a_cpu_is_rounded_up(tmp_path: Path) -> None:
    grow(tmp_path, V2 | {"sys/fs/cgroup/app/cpu.max": "110000 100000\n"})
    assert usable(tmp_path) == 2
