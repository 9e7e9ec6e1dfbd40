"""Libraries that do not go through ``socket.socket``, and are changed when they are imported.

    uvloop        binds in C: it is given sockets that were made in Python
    gevent        has a socket class of its own
    socketserver  accepts when select() has said so, and must not wait if another process was
                  faster: the socket that it believes to be blocking would
    multiprocessing  sends sockets to children, and starts some: see `descendants`

Those that bring a reloader or workers are in `reloaders`.

Rules: a function for each library, a table of them; what is not imported is not touched.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from pyfork.cluster import reloaders
from pyfork.cluster.descendants import Family, change_reduction
from pyfork.cluster.sockets.patches import SocketPatches

Change = Callable[[ModuleType, SocketPatches], None]


def install(hooks: SocketPatches, note: reloaders.Note, family: Family) -> None:
    """Change what is imported, now or later; ``note`` says what a script may not expect."""
    changes: dict[str, Callable[[ModuleType], None]] = {
        **{name: partial(_call, change, hooks) for name, change in CHANGES.items()},
        **{name: partial(_call, change, note) for name, change in reloaders.CHANGES.items()},
        "multiprocessing.util": family.change_util,
    }
    sys.meta_path.insert(0, _Watch({k: v for k, v in changes.items() if k not in sys.modules}))
    for name in changes.keys() & sys.modules.keys():
        changes[name](sys.modules[name])


def _call(change: Callable[[ModuleType, Any], None], with_: Any, module: ModuleType) -> None:
    change(module, with_)


def _change_uvloop(module: ModuleType, hooks: SocketPatches) -> None:
    from pyfork.cluster.sockets.uvloop_patches import change  # it imports asyncio

    change(module, hooks)


def _change_gevent(module: ModuleType, hooks: SocketPatches) -> None:
    kind: Any = module.__dict__["socket"]
    inner: Any = kind._gevent_sock_class  # Python's own; StreamServer goes on with that alone
    accept, getsockname, close = inner._accept, inner.getsockname, kind.close

    def listen(self: Any, *backlog: int) -> None:
        hooks.listen(self, self._sock, *backlog)

    def accept_at_desk(self: Any) -> Any:
        fd = self.fileno()
        return hooks.accept(fd, 0.0) if hooks.desk(fd) else accept(self)

    def name(self: Any) -> Any:
        desk = hooks.desk(self.fileno())
        return desk.name if desk else getsockname(self)

    def forgetful_close(self: Any) -> None:
        fd = self.fileno()
        close(self)
        if self.fileno() < 0:
            hooks.forget(fd)

    inner._accept, inner.getsockname = accept_at_desk, name
    kind.bind = lambda self, address: hooks.bind(self, address, _inner("bind"))
    kind.listen, kind.close = listen, forgetful_close


def _inner(name: str) -> Callable[..., Any]:
    return lambda sock, *args: getattr(sock._sock, name)(*args)


def _change_socketserver(module: ModuleType, hooks: SocketPatches) -> None:
    server: Any = module.__dict__["TCPServer"]
    get_request = server.get_request

    def get_request_now(self: Any) -> Any:
        if not hooks.handle_at(self.socket.fileno()):
            return get_request(self)
        before = self.socket.gettimeout()
        self.socket.settimeout(0)
        try:
            return get_request(self)
        finally:
            self.socket.settimeout(before)

    server.get_request = get_request_now


CHANGES: dict[str, Change] = {
    "uvloop": _change_uvloop,
    "gevent._socket3": _change_gevent,
    "socketserver": _change_socketserver,
    "multiprocessing.reduction": change_reduction,
}


class _Watch(importlib.abc.MetaPathFinder):
    """Sees each import, and has the module changed after it was executed."""

    def __init__(self, waiting: dict[str, Callable[[ModuleType], None]]) -> None:
        self._waiting = waiting

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        change = self._waiting.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchLoader(spec.loader, change)
        return spec


class _PatchLoader(importlib.abc.Loader):
    """Another loader, and something after it."""

    def __init__(self, loader: Any, change: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._change = change

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the other does."""
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """As the other does; afterwards it is the module's loader again."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._change(module)
