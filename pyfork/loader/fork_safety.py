"""Threads and resources that an application started while it was imported.

Threads do not exist in the child. A connected socket or an epoll is shared by all children. Each is
found in /proc after the import, and named with the line of code that started it, as far as Python
code did.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from pyfork.errors import BootError
from pyfork.loader import fork_libraries
from pyfork.record import entity, field, record

NATIVE = "native"  # in the place of a module: threads that no Python code has started

_ADVICE = (
    "it does not work in forked workers; start it in the post_fork hook or in "
    "os.register_at_fork(after_in_child=...), leave --preload out, or"
)


@record
class ForkHazard:
    """One thing that is not safe to fork."""

    what: str
    module: str  # that started it; empty: unknown
    place: str  # file and line; empty: unknown

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" if self.place else self.what


@entity
class ForkSafety:
    """Looks at this process before and after the import.

    Args:
        excused: names of modules whose findings do not count, or `NATIVE`.
    """

    excused: Sequence[str]
    _files: set[str] = field(default_factory=lambda: set(_files().values()))
    _children: set[int] = field(default_factory=lambda: set(_children()))  # one may write a log
    _threads: dict[threading.Thread, tuple[str, str]] = field(default_factory=dict)
    _sockets: dict[int, tuple[str, str]] = field(default_factory=dict)  # by descriptor

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Within the block, remember which code starts threads and connects sockets."""
        start = threading.Thread.start

        def remembered(thread: threading.Thread) -> None:
            self._threads[thread] = _origin(sys._getframe(1))
            start(thread)

        setattr(threading.Thread, "start", remembered)  # noqa: B010 mypy knows it as a method
        names = ("connect", "connect_ex")
        for name in names:
            setattr(socket.socket, name, self._remembering(getattr(socket.socket, name)))
        try:
            yield
        finally:
            setattr(threading.Thread, "start", start)  # noqa: B010
            for name in names:
                delattr(socket.socket, name)

    def check(self) -> None:
        """Raises BootError: something was started that a fork does not carry along."""
        unsafe = [each for each in self._findings() if not self._is_excused(each.module)]
        if not unsafe:
            return
        first, others = unsafe[0], len(unsafe) - 1
        excuse = first.module or "MODULE"
        text = f"--preload: {first}: {_ADVICE} excuse it: --preload-unsafe {excuse}"
        detail = "\n".join(map(str, unsafe)) if others else ""
        raise BootError(f"{text} (and {others} more)" if others else text, detail)

    def _remembering(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        def connected(sock: socket.socket, *args: Any) -> Any:
            self._sockets[sock.fileno()] = _origin(sys._getframe(1))
            return connect(sock, *args)

        return connected

    def _is_excused(self, module: str) -> bool:
        return any(f"{module}.".startswith(f"{each}.") for each in self.excused)

    def _findings(self) -> Iterator[ForkHazard]:
        threads = [each for each in threading.enumerate() if each is not threading.main_thread()]
        for thread in threads:
            module, place = self._threads.get(thread, ("", ""))
            yield ForkHazard(f"it starts the thread {thread.name!r}", module, place)
        if native := _native_threads():
            names = ", ".join(map(repr, sorted(set(native))))
            yield ForkHazard(
                f"an extension module starts {len(native)} native thread(s) ({names})", NATIVE, ""
            )
        for fd, file in _files().items():
            if file in self._files:
                continue
            module, place = self._sockets.get(fd, ("", ""))
            if file == "anon_inode:[eventpoll]":
                yield ForkHazard("it opens an epoll (an event loop)", module, place)
            elif file.startswith("socket:") and (peer := _peer(fd)) is not None:
                yield ForkHazard(f"it connects to {peer}", module, place)
        for pool in fork_libraries.pools_in_use():
            yield ForkHazard(pool, "sqlalchemy", "")
        for pid in _children():
            if pid in self._children:
                continue
            yield ForkHazard(f"it starts the process {pid}", "", "")


def _native_threads() -> list[str]:
    """The names of the threads that are unknown to Python, and that a fork does not end.

    A library that is prepared for forks, as OpenBLAS is, ends its threads before each one and
    starts them when they are next needed (pthread_atfork(3)). So a child is forked, by the C
    library, since `os.fork` would call the application's functions too.
    """
    if not _unknown_tasks():
        return []
    import ctypes

    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return _unknown_tasks()


def _unknown_tasks() -> list[str]:
    known = {thread.native_id for thread in threading.enumerate()} | {os.getpid()}
    names = []
    for task in os.listdir("/proc/self/task"):
        if int(task) not in known:
            with suppress(OSError), open(f"/proc/self/task/{task}/comm") as file:
                names.append(file.read().strip())
    return names


def _files() -> dict[int, str]:
    """The kind of each descriptor of this process."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def _peer(fd: int) -> str | None:
    """Where a socket is connected to; None: it is not."""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            peer = sock.getpeername()
    except OSError:
        return None
    if isinstance(peer, tuple):
        return f"{peer[0]}:{peer[1]}"
    return str(peer) or "a unix socket"


def _children() -> list[int]:
    with suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]
    return []


def _origin(frame: FrameType | None) -> tuple[str, str]:
    """The module and the line that started something: the nearest outside the standard library."""
    first = frame
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in sys.stdlib_module_names:
            break
        frame = frame.f_back
    frame = frame or first
    if frame is None:
        return "", ""
    name = str(frame.f_globals.get("__name__", ""))
    return name, f"{frame.f_code.co_filename}:{frame.f_lineno}"
