"""The log lines about single workers. Text only, no I/O."""

from pyfork.arbiter.workers.process import WorkerProcess


def name_of(worker: WorkerProcess) -> str:
    """``worker 2 (generation 5, pid 4711)``."""
    return f"worker {worker.slot} (generation {worker.generation}, pid {worker.pid})"


def activity(worker: WorkerProcess, now: float) -> str:
    """The requests of a worker, or of a dead one: ``2 requests in flight, last GET /x (3.1 s)``."""
    row = worker.row
    if not row.in_flight:
        return "no request in flight"
    text = f"{row.in_flight} request{'s' if row.in_flight > 1 else ''} in flight"
    if row.activity:
        text += f", last {row.activity}"
    if row.busy_since:
        text += f" ({max(0.0, now - row.busy_since):.1f} s)"
    return text


def hang_line(worker: WorkerProcess, reason: str, now: float) -> str:
    """The line for a worker that hangs: it writes its stacks next, and dies."""
    busy = f"; {activity(worker, now)}" if _is_seen(worker) else ""
    return f"{name_of(worker)} {reason}{busy}; its stacks:"


def exit_line(worker: WorkerProcess, now: float) -> str:
    """The line for a worker that exited when it was told to."""
    return f"{name_of(worker)} left after {_age(worker, now)}"


def death_line(
    worker: WorkerProcess, how: str, now: float, *, out_of_memory: bool | None = None
) -> str:
    """The line for any other exit.

    ``out_of_memory``: whether the kernel killed a process for lack of memory; None: unknown.
    """
    cause = death_cause(worker, how, out_of_memory=out_of_memory)
    if _is_seen(worker):
        cause += f"; {activity(worker, now)}"
    return f"{name_of(worker)} died after {_age(worker, now)}: {cause}"


def death_cause(worker: WorkerProcess, how: str, *, out_of_memory: bool | None = None) -> str:
    """The cause of an exit: ``killed by SIGKILL, by pyfork: did not drain in time``."""
    if worker.kill_reason:
        return f"{how}, by pyfork: {worker.kill_reason}"
    return how + (_KILLERS[out_of_memory] if how == "killed by SIGKILL" else "")


_KILLERS = {
    True: ", by the kernel: the control group of this server is out of memory",
    False: ", not by the kernel for lack of memory",
    None: " (out of memory? see the log of the kernel)",
}


def _is_seen(worker: WorkerProcess) -> bool:
    """Whether the requests of the worker are counted: it has served, and is no script."""
    return worker.ready_at is not None and worker.interface != "script"


def _age(worker: WorkerProcess, now: float) -> str:
    if worker.ready_at is None:
        return f"{now - worker.born:.1f} s, before it was ready"
    if not _is_seen(worker):
        return f"{now - worker.ready_at:.1f} s"
    requests = worker.row.requests
    return f"{now - worker.ready_at:.1f} s and {requests} request{'' if requests == 1 else 's'}"
