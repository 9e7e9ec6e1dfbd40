"""Processes that a script starts are part of its worker: they share its port, and end with it.

    forked               goes on with the hooks of its parent, and asks by the worker's `Door`
    by multiprocessing   a fresh interpreter: it gets the hooks before it begins
    by an exec           another program: it binds for itself, and is ended with the worker

When a worker leaves in order its descendants hear SIGTERM, and after a while SIGKILL. When it is
killed, the kernel kills those that have the hooks: each waits, by O_ASYNC, for the end of a pipe
that nobody but the worker can write to. Other programs become the arbiter's, see `orphans`.
"""

import fcntl
import logging
import os
import signal
import sys
from _thread import allocate_lock
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from select import POLLHUP, poll
from socket import socket  # as it is before gevent's patch
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyfork
from pyfork.cluster.door import Door, FarLink
from pyfork.cluster.sockets.patches import SocketPatches

if TYPE_CHECKING:
    from psutil import Process

log = logging.getLogger("pyfork.error")

PATIENCE = 1.0  # seconds between SIGTERM and SIGKILL, at the end of a worker
_SETSIG = getattr(fcntl, "F_SETSIG", None)  # Linux
_JOIN = (
    "import sys; sys.path.append({root!r}); from pyfork.cluster.join import join; "
    "join({door}, {life}, {exclusive!r}); sys.path.remove({root!r}); "
)
_PROGRAMS = ("multiprocessing.spawn", "multiprocessing.forkserver")  # not the resource tracker

_ending = allocate_lock()
_hooks: SocketPatches | None = None  # of this process, for sockets that come out of a pickle


class Family:
    """What the children of one worker have of it.

    Args:
        door: where they ask; None in a child, which has one end of it alone.
        far: that end.
        life: the end of the pipe on which they wait; its other end is the worker's.
    """

    def __init__(
        self, hooks: SocketPatches, far: FarLink, life: int, door: Door | None = None
    ) -> None:
        self._hooks = hooks
        self._far = far
        self._life = life
        self._door = door
        self._own = -1  # as ``life``, but this process's alone
        self._writing = -1

    @classmethod
    def of_worker(cls, hooks: SocketPatches, door: Door) -> "Family":
        """Of this process, which is the worker."""
        life, writing = os.pipe()
        family = cls(hooks, FarLink(door.outer), life, door)
        family._writing = writing
        return family

    def adopt(self, disown: Callable[[], None] = lambda: None) -> None:
        """Have whatever is started from now on join; ``disown`` gives up what is the worker's."""
        global _hooks
        _hooks = self._hooks
        os.register_at_fork(after_in_child=lambda: self._forked(disown))

    def wait(self) -> None:
        """This process dies with the worker."""
        if _SETSIG is None:
            return
        with suppress(OSError):
            if self._own >= 0:
                os.close(self._own)
            # Opened anew: who is told, and by which signal, belongs to the description.
            self._own = os.open(f"/proc/self/fd/{self._life}", os.O_RDONLY | os.O_NONBLOCK)
            fcntl.fcntl(self._own, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(self._own, _SETSIG, signal.SIGKILL)
            fcntl.fcntl(self._own, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
            ended = poll()
            ended.register(self._own, 0)
            if any(mask & POLLHUP for _, mask in ended.poll(0)):  # before it was waited for
                os._exit(1)

    def _forked(self, disown: Callable[[], None]) -> None:
        disown()
        if self._door is not None:
            self._door.close()
            self._door = None
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1
        self._hooks.lend(self._far)
        self.wait()

    # By multiprocessing.

    def change_util(self, module: ModuleType) -> None:
        """``multiprocessing.util``: what it starts joins before it begins."""
        spawn: Callable[..., int] = module.__dict__["spawnv_passfds"]

        def spawn_joined(path: Any, args: Sequence[Any], fds: Sequence[int]) -> int:
            command, more = self._joined(list(args))
            return spawn(path, command, [*fds, *more])

        module.__dict__["spawnv_passfds"] = spawn_joined

    def _joined(self, command: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
        at = command.index("-c") + 1 if "-c" in command else 0
        if not (at and any(each in str(command[at]) for each in _PROGRAMS)):
            return command, ()
        fds = (self._far.fileno(), self._life)
        join = _JOIN.format(
            root=str(Path(pyfork.__file__).parents[1]),
            door=fds[0],
            life=fds[1],
            exclusive=tuple(self._hooks.exclusive),
        )
        command[at] = join + command[at]
        return command, fds


# Sockets that are sent to a child.


def change_reduction(module: ModuleType, hooks: SocketPatches) -> None:
    """``multiprocessing.reduction``: a shared socket arrives as one."""
    reduce_socket: Callable[[Any], tuple[Any, tuple[Any, ...]]] = module.__dict__["_reduce_socket"]

    def reduce(sock: Any) -> tuple[Any, tuple[Any, ...]]:
        copy = hooks.handle_at(sock.fileno())
        if copy is None:
            return reduce_socket(sock)
        return rebuild, (copy.key, *reduce_socket(hooks.hand_out(sock.fileno()) or sock))

    module.__dict__["register"](socket, reduce)


def rebuild(key: str, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The socket that another process of this worker's has sent."""
    sock = make(*arguments)
    if _hooks is not None:
        _hooks.note(sock, key)
    return sock


# Their end.


def terminate() -> "list[Process]":
    """Send SIGTERM to all descendants of this process; which those are."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # as nearly always
        return []
    import psutil

    tracker = sys.modules.get("multiprocessing.resource_tracker")  # it ends by itself, after us
    spared = getattr(getattr(tracker, "_resource_tracker", None), "_pid", None)
    with suppress(psutil.Error, OSError):
        found = [each for each in psutil.Process().children(recursive=True) if each.pid != spared]
        for each in found:
            with suppress(psutil.Error):
                each.terminate()
        return found
    return []


def are_there(found: "list[Process]") -> bool:
    """Whether one of them runs."""
    return any(_runs(each) for each in found)


def _runs(process: "Process") -> bool:
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end(script: str) -> None:
    """End all descendants of this process, which is about to end itself."""
    with _ending:
        found = terminate()
        if not found:
            return
        import psutil

        _, left = psutil.wait_procs(found, timeout=PATIENCE)
        for each in left:
            with suppress(psutil.Error):
                who = f"process {each.pid} ({each.name()})"
                each.kill()
                log.warning("%s: %s, which it has started, did not end and was killed", script, who)
