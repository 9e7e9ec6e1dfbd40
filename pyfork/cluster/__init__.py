"""Scripts in N processes on one port, after Node's cluster.

    from pyfork import cluster

    if cluster.is_primary:
        for _ in range(3):
            cluster.fork()
    else:
        import server

A program that is run by ``python`` is the primary, and forks its workers itself; one that is run by
``pyfork run`` is a worker from its first line on. `run`, or the end of the script, waits for the
workers and tells of them; in a program of asyncio its loop does.

In a worker, `exclusive` and `ready` say what only a script can know. Where there is no primary they
have no effect, so a script that uses them is still an ordinary one.
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
"""The primary accepts, and the workers take turns."""
NONE = "shared"
"""The workers accept, and who is first has the connection."""
LEAST = "least"
"""The workers accept, and who has fewer connections than the others comes first."""

schedule = ROUND_ROBIN
"""For workers that are forked from now on."""

# What differs from process to process; `become` is called in a worker before its script begins.
is_primary = True
is_worker = False
worker: "CurrentWorker | None" = None
workers: "dict[int, Worker]" = {}

is_exclusive: ContextVar[bool] = ContextVar("pyfork.cluster.is_exclusive", default=False)
"""Whether sockets that are bound now are this process's own."""


def become(oneself: "CurrentWorker") -> None:
    """This process is a worker."""
    global is_primary, is_worker, worker
    is_primary, is_worker, worker = False, True, oneself


# In the primary.


def setup_primary(
    *,
    exec: str | None = None,
    args: Sequence[str] | None = None,
    exec_args: Sequence[str] | None = None,
    env: Mapping[str, object] | None = None,
    cwd: str | None = None,
    silent: bool | None = None,
) -> None:
    """Say how workers that are forked from now on are started.

    What is not given is as an earlier call has set it, and before the first one as this process
    was started. The event ``setup`` follows.

    Args:
        exec: a script, or ``-m MODULE``.
        args: of the script.
        exec_args: of the interpreter.
        env: environment variables, beside those of this process.
        cwd: the directory in which they start.
        silent: whether their output goes to ``worker.process.stdout`` and ``stderr``.

    Raises ValueError: there is no script.
    """
    _program().set_up(exec=exec, args=args, exec_args=exec_args, env=env, cwd=cwd, silent=silent)


def fork(**env: object) -> "Worker":
    """Start a worker; ``env`` are environment variables for it alone.

    Raises:
        OSError: the system has no process to give.
        ValueError: it is not known what to start, or there is no such ``schedule``.
    """
    if schedule not in (ROUND_ROBIN, NONE, LEAST):
        raise ValueError(f"cluster.schedule is {schedule!r}: use ROUND_ROBIN, NONE or LEAST")
    return _program().fork(schedule, {name: str(value) for name, value in env.items()})


def disconnect(then: Callable[[], object] | None = None) -> None:
    """Have every worker leave, and call ``then`` when all have."""
    _program().disconnect(then)


def run() -> None:
    """Wait until the last worker has ended, and call handlers until then.

    The end of the script does so too. What a handler raises ends it, and is raised here.
    """
    _program().run()


async def wait() -> None:
    """The same in a program of asyncio, whose loop calls the handlers anyway."""
    await _program().wait()


def on(event: str, handler: Any = None) -> Any:
    """Call ``handler`` whenever ``event`` happens to a worker; without one, a decorator.

    fork, online, message (worker, value), listening (worker, address), disconnect,
    exit (worker, status, name of the signal); all begin with the worker. And setup (settings),
    by `setup_primary` and, as in Node, by each `fork`.
    """
    return _program().on(event, handler)


def once(event: str, handler: Any = None) -> Any:
    """Call ``handler`` the next time, and then no more; see `on`."""
    return _program().once(event, handler)


def off(event: str, handler: "Handler") -> None:
    """Call ``handler`` no more."""
    _program().off(event, handler)


@cache
def _primary() -> "Primary":
    from pyfork.cluster.primary.primary import Primary

    return Primary(workers)


def _program() -> "Primary":
    if is_worker:
        raise RuntimeError("this process is a worker, which has none of its own: cluster.worker")
    return _primary()


# In a worker.


@contextmanager
def exclusive() -> Iterator[None]:
    """Sockets that are bound in this block are this process's own, and shared with nobody."""
    token = is_exclusive.set(True)
    try:
        yield
    finally:
        is_exclusive.reset(token)


def ready() -> None:
    """With ``--ready-on message``: this process serves from now on."""
    # The worker puts its own in the place of this one, see `child`.
