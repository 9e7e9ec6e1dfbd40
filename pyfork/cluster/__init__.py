"""N processes of a script on one port, modelled on Node's cluster.

    from pyfork import cluster

    if cluster.is_primary:
        for _ in range(3):
            cluster.fork()
    else:
        import server

A program that ``python`` runs is the primary and forks its own workers. A script that ``pyfork
run`` runs is a worker from its first line. `run`, or the end of the script, waits for the workers
and emits their events. In an asyncio program the loop emits them.

`exclusive` and `ready` are for workers. Without a primary they do nothing, so a script that uses
them also runs alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyfork.cluster.events import Handler
    from pyfork.cluster.primary.primary import Primary
    from pyfork.cluster.primary.worker import Worker
    from pyfork.cluster.script.current import CurrentWorker

ROUND_ROBIN = "round-robin"
"""The primary accepts; workers take turns."""
NONE = "shared"
"""All workers accept; the fastest one gets the connection."""
LEAST = "least"
"""All workers accept; those with the fewest connections come first."""

schedule = ROUND_ROBIN
"""The policy for workers that are forked from now on."""

# These differ between processes; `become` sets them before the script begins.
is_primary = True
is_worker = False
worker: "CurrentWorker | None" = None
workers: "dict[int, Worker]" = {}

is_exclusive: ContextVar[bool] = ContextVar("pyfork.cluster.is_exclusive", default=False)
"""Whether sockets that are bound now belong to this process alone."""


def become(current: "CurrentWorker") -> None:
    """Mark this process as the worker ``current``."""
    global is_primary, is_worker, worker
    is_primary, is_worker, worker = False, True, current


# Called in the primary.


def setup_primary(
    *,
    exec: str | None = None,
    args: Sequence[str] | None = None,
    exec_args: Sequence[str] | None = None,
    env: Mapping[str, object] | None = None,
    cwd: str | None = None,
    silent: bool | None = None,
) -> None:
    """Set how later workers are started, and emit ``setup``.

    A setting that is not given keeps its value; at first that is how this process was started.

    Args:
        exec: a script, or ``-m MODULE``.
        args: arguments of the script.
        exec_args: arguments of the interpreter.
        env: environment variables, added to those of this process.
        cwd: the directory in which workers start.
        silent: whether output goes to ``worker.process.stdout`` and ``stderr``.

    Raises:
        ValueError: there is no script.
    """
    _require_primary().set_up(
        exec=exec, args=args, exec_args=exec_args, env=env, cwd=cwd, silent=silent
    )


def fork(**env: object) -> "Worker":
    """Start a worker; ``env`` adds environment variables for it alone.

    Raises:
        OSError: the system cannot start a process.
        ValueError: there is no script, or `schedule` has an unknown value.
    """
    if schedule not in (ROUND_ROBIN, NONE, LEAST):
        raise ValueError(f"cluster.schedule is {schedule!r}: use ROUND_ROBIN, NONE or LEAST")
    return _require_primary().fork(schedule, {name: str(value) for name, value in env.items()})


def disconnect(then: Callable[[], object] | None = None) -> None:
    """Tell every worker to disconnect; call ``then`` after the last one has ended."""
    _require_primary().disconnect(then)


def run() -> None:
    """Call handlers until the last worker has ended.

    The end of the script does the same. An exception of a handler ends it and is raised here.
    """
    _require_primary().run()


async def wait() -> None:
    """`run` for an asyncio program, whose loop calls the handlers."""
    await _require_primary().wait()


def on(event: str, handler: Any = None) -> Any:
    """Call ``handler`` at each ``event`` of a worker; without a handler, return a decorator.

    The events are fork, online, message (worker, value), listening (worker, address), disconnect
    and exit (worker, status, signal name). The worker is the first argument of each.
    `setup_primary` and, as in Node, each `fork` emit setup (settings).
    """
    return _require_primary().on(event, handler)


def once(event: str, handler: Any = None) -> Any:
    """Call ``handler`` at the next ``event`` only; see `on`."""
    return _require_primary().once(event, handler)


def off(event: str, handler: "Handler") -> None:
    """Do not call ``handler`` any more."""
    _require_primary().off(event, handler)


@cache
def _primary() -> "Primary":
    from pyfork.cluster.primary.primary import Primary

    return Primary(workers)


def _require_primary() -> "Primary":
    if is_worker:
        raise RuntimeError("this process is a worker, which has none of its own: cluster.worker")
    return _primary()


# Called in a worker.


@contextmanager
def exclusive() -> Iterator[None]:
    """Sockets that are bound in this block are not shared."""
    token = is_exclusive.set(True)
    try:
        yield
    finally:
        is_exclusive.reset(token)


def ready() -> None:
    """Under ``--ready-on message``: report this worker as ready."""
    if worker is not None:
        worker.report_ready()
