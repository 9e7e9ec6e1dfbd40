"""The processes of servers, as the system sees them: arbiters, their sockets, CPU and memory.

What another user's processes do not show is None.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

import psutil

from pyfork.record import record
from pyfork.system.proc_sockets import listening_sockets

_TITLE = "pyfork: arbiter"


@record
class Usage:
    """The CPU time and memory of a process."""

    cpu: float  # seconds of CPU, in user and kernel mode
    memory: int  # bytes: the proportional set size, or the resident set where that is not told


@record
class ArbiterProcess:
    """One arbiter that runs."""

    pid: int
    control: str | None  # the path of its control socket; None: it has none


def arbiters() -> Iterator[ArbiterProcess]:
    """The arbiters of this user; root sees those of all users."""
    found: list[psutil.Process] = []
    children: dict[int, list[int]] = {}
    for process in psutil.process_iter():  # once: there may be thousands
        try:
            children.setdefault(process.ppid(), []).append(process.pid)
            if os.geteuid() in (0, process.uids().effective) and _is_arbiter(process):
                found.append(process)
        except psutil.Error:  # it has ended, or shows nothing
            continue
    pids = {each.pid for each in found}
    for process in found:
        control = _control_socket(process.pid, children.get(process.pid, []))
        with suppress(psutil.Error):
            # A worker has its parent's title until it has one of its own.
            if control is not None or process.ppid() not in pids:
                yield ArbiterProcess(process.pid, control)


def control_socket(pid: int) -> str | None:
    """The path of the control socket of an arbiter; None: it has none, or is no arbiter yet."""
    try:
        process = psutil.Process(pid)
        if not _is_arbiter(process):
            return None
        return _control_socket(pid, [child.pid for child in process.children()])
    except psutil.Error:
        return None


def _is_arbiter(process: psutil.Process) -> bool:
    return "".join(process.cmdline()[:1]).startswith(_TITLE)


def _control_socket(pid: int, children: Iterable[int]) -> str | None:
    """Unlike a listener, it is not shared with workers."""
    for listener in listening_sockets([pid, *children]):
        if listener.kind == "unix" and listener.pids == [pid]:
            return listener.address.removeprefix("unix:")
    return None


def usage(pids: Iterable[int]) -> dict[int, Usage]:
    """The usage of each of ``pids``; those that have ended are left out."""
    found = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            cpu, memory = process.cpu_times(), process.memory_full_info()
        except psutil.Error:
            continue
        size = getattr(memory, "pss", 0) or memory.rss
        found[pid] = Usage(cpu.user + cpu.system, size)
    return found
