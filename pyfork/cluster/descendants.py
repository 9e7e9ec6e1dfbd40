"""Processes that a script starts: they share its port and end with its worker.

    forked               keeps the patches of its parent, and calls the arbiter by `Relay`
    by multiprocessing   a fresh interpreter, patched before it begins
    by an exec           another program: binds for itself, and is ended with the worker

A worker that ends sends SIGTERM to its descendants, and SIGKILL a while later. When a worker is
killed, the kernel kills its patched children: O_ASYNC signals the end of a pipe that only the
worker can write to. Other programs become children of the arbiter, see `orphans`.
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
from socket import socket  # before gevent patches it
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyfork
from pyfork.cluster.relay import Relay, RelayedClient
from pyfork.cluster.sockets.patches import SocketPatches

if TYPE_CHECKING:
    from psutil import Process

log = logging.getLogger("pyfork.error")

PATIENCE = 1.0  # seconds between SIGTERM and SIGKILL
_SETSIG = getattr(fcntl, "F_SETSIG", None)  # Linux
_JOIN = (
    "import sys; sys.path.append({root!r}); from pyfork.cluster.join import join; "
    "join({relay}, {life}, {exclusive!r}); sys.path.remove({root!r}); "
)
_PROGRAMS = ("multiprocessing.spawn", "multiprocessing.forkserver")  # not the resource tracker

_ending = allocate_lock()
_patches: SocketPatches | None = None  # of this process, for sockets that arrive in a pickle


class ChildSetup:
    """The needs of the children of one worker.

    Args:
        relay: the worker's side of the relay; None in a child.
        far: the children's side.
        life: the read end of a pipe; its write end is the worker's.
    """

    def __init__(
        self, patches: SocketPatches, far: RelayedClient, life: int, relay: Relay | None = None
    ) -> None:
        self._patches = patches
        self._far = far
        self._life = life
        self._relay = relay
        self._own = -1  # a second descriptor for ``life``, of this process alone
        self._writing = -1

    @classmethod
    def for_worker(cls, patches: SocketPatches, relay: Relay) -> "ChildSetup":
        """Make the setup for the children of this process."""
        life, writing = os.pipe()
        child_setup = cls(patches, RelayedClient(relay.child_end), life, relay)
        child_setup._writing = writing
        return child_setup

    def install(self, close_in_child: Callable[[], None] = lambda: None) -> None:
        """Set up all children that are started from now on.

        ``close_in_child`` closes what belongs to the worker alone.
        """
        global _patches
        _patches = self._patches
        os.register_at_fork(
            after_in_parent=self._patches.on_fork,
            after_in_child=lambda: self._forked(close_in_child),
        )

    def die_with_worker(self) -> None:
        """Have the kernel kill this process when the worker ends."""
        if _SETSIG is None:
            return
        with suppress(OSError):
            if self._own >= 0:
                os.close(self._own)
            # Opened again: owner and signal are properties of the open file description.
            self._own = os.open(f"/proc/self/fd/{self._life}", os.O_RDONLY | os.O_NONBLOCK)
            fcntl.fcntl(self._own, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(self._own, _SETSIG, signal.SIGKILL)
            fcntl.fcntl(self._own, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
            ended = poll()
            ended.register(self._own, 0)
            if any(mask & POLLHUP for _, mask in ended.poll(0)):  # the worker has already ended
                os._exit(1)

    def _forked(self, close_in_child: Callable[[], None]) -> None:
        close_in_child()
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1
        self._patches.use_in_child(self._far)
        self.die_with_worker()

    # multiprocessing.

    def patch_util(self, module: ModuleType) -> None:
        """``multiprocessing.util``: let a new interpreter call `join` before anything else."""
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
            relay=fds[0],
            life=fds[1],
            exclusive=tuple(self._patches.exclusive),
        )
        command[at] = join + command[at]
        return command, fds


# Sockets that are sent to a child.


def patch_reduction(module: ModuleType, patches: SocketPatches) -> None:
    """``multiprocessing.reduction``: a shared socket is still shared in the receiving process."""
    reduce_socket: Callable[[Any], tuple[Any, tuple[Any, ...]]] = module.__dict__["_reduce_socket"]
    sent_fd: Callable[[int], Any] = module.__dict__["DupFd"]

    def reduce(sock: Any) -> tuple[Any, tuple[Any, ...]]:
        copy = patches.fds.shared_at(sock.fileno())
        if copy is None:
            return reduce_socket(sock)
        epoll = patches.sent_epoll(sock.fileno())
        if epoll is None:
            return rebuild, (copy.key, *reduce_socket(sock))
        fds = [sent_fd(fd) for fd in (epoll.fileno(), epoll.probe_fd, epoll.state.fd)]
        return rebuild_epoll, (copy.key, *reduce_socket(epoll.handle), fds)

    module.__dict__["register"](socket, reduce)


def rebuild(key: str, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Make the socket that another process of this worker sent."""
    sock = make(*arguments)
    if _patches is not None:
        _patches.register(sock, key)
    return sock


def rebuild_epoll(
    key: str, make: Callable[..., Any], arguments: tuple[Any, ...], fds: Sequence[Any]
) -> Any:
    """Make the socket that another process of this worker sent, with the epoll in its place."""
    sock = make(*arguments)
    epoll, probe, state = (each.detach() for each in fds)
    if _patches is not None:
        _patches.register_epoll(sock, key, epoll, probe, state)
    return sock


# The end of descendants.


def terminate() -> "list[Process]":
    """Send SIGTERM to all descendants of this process. Returns them."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # the usual case
        return []
    import psutil

    # it ends by itself, after this process
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    spared = getattr(getattr(tracker, "_resource_tracker", None), "_pid", None)
    with suppress(psutil.Error, OSError):
        found = [each for each in psutil.Process().children(recursive=True) if each.pid != spared]
        for child in found:
            with suppress(psutil.Error):
                child.terminate()
        return found
    return []


def are_there(found: "list[Process]") -> bool:
    """Whether any of ``found`` is still running."""
    return any(_runs(each) for each in found)


def _runs(process: "Process") -> bool:
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end(script: str) -> None:
    """End all descendants of this process, which is about to end; ``script`` is for the log."""
    with _ending:
        found = terminate()
        if not found:
            return
        import psutil

        _, left = psutil.wait_procs(found, timeout=PATIENCE)
        for child in left:
            with suppress(psutil.Error):
                process = f"process {child.pid} ({child.name()})"
                child.kill()
                log.warning(
                    "%s: %s, which it has started, did not end and was killed", script, process
                )
