"""Patches of libraries that do not use ``socket.socket``; each is applied when its module is
imported.

    uvloop        binds in C: it gets sockets that Python made
    gevent        has its own socket class
    socketserver  calls accept() after select(), and must not block if another process was faster;
                  forks a child for each connection
    multiprocessing  sends sockets to children and starts children: see `descendants`

Reloaders and workers that libraries bring along are in `reloaders`.

Rules: one function for each library, listed in `PATCHES`; modules that are not imported stay as
they are.
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
from pyfork.cluster.descendants import ChildSetup, patch_reduction
from pyfork.cluster.sockets.patches import SocketPatches

Patch = Callable[[ModuleType, SocketPatches], None]


def install(patches: SocketPatches, note: reloaders.Note, child_setup: ChildSetup) -> None:
    """Patch listed modules, now or when they are imported. ``note`` gets remarks."""
    patches_by_name: dict[str, Callable[[ModuleType], None]] = {
        **{name: partial(_call, patch, patches) for name, patch in PATCHES.items()},
        **{name: partial(_call, patch, note) for name, patch in reloaders.PATCHES.items()},
        "multiprocessing.util": child_setup.patch_util,
    }
    sys.meta_path.insert(
        0, _ImportWatcher({k: v for k, v in patches_by_name.items() if k not in sys.modules})
    )
    for name in patches_by_name.keys() & sys.modules.keys():
        patches_by_name[name](sys.modules[name])


def _call(patch: Callable[[ModuleType, Any], None], with_: Any, module: ModuleType) -> None:
    patch(module, with_)


def _patch_uvloop(module: ModuleType, patches: SocketPatches) -> None:
    from pyfork.cluster.sockets.uvloop_patches import patch  # it imports asyncio

    patch(module, patches)


def _patch_gevent(module: ModuleType, patches: SocketPatches) -> None:
    kind: Any = module.__dict__["socket"]
    inner: Any = kind._gevent_sock_class  # Python's own class; StreamServer uses that alone
    accept, getsockname, close = inner._accept, inner.getsockname, kind.close

    def listen(self: Any, *backlog: int) -> None:
        patches.listen(self, self._sock, *backlog)

    def accept_from_epoll(self: Any) -> Any:
        fd = self.fileno()
        return patches.accept(fd, 0.0) if patches.epoll_at(fd) else accept(self)

    def name(self: Any) -> Any:
        epoll = patches.epoll_at(self.fileno())
        return epoll.name if epoll else getsockname(self)

    def forgetful_close(self: Any) -> None:
        fd = self.fileno()
        close(self)
        if self.fileno() < 0:
            patches.forget(fd)

    inner._accept, inner.getsockname = accept_from_epoll, name
    kind.bind = lambda self, address: patches.bind(self, address, _socket("bind"))
    kind.listen, kind.close = listen, forgetful_close


def _socket(name: str) -> Callable[..., Any]:
    return lambda sock, *args: getattr(sock._sock, name)(*args)


def _patch_socketserver(module: ModuleType, patches: SocketPatches) -> None:
    server: Any = module.__dict__["TCPServer"]
    get_request = server.get_request

    def get_request_now(self: Any) -> Any:
        if not patches.fds.shared_at(self.socket.fileno()):
            return get_request(self)
        before = self.socket.gettimeout()
        self.socket.settimeout(0)
        try:
            return get_request(self)
        finally:
            self.socket.settimeout(before)

    server.get_request = get_request_now
    forking: Any = module.__dict__.get("ForkingMixIn")
    if forking is not None:  # where there is fork()
        forking.process_request = _handing_over(forking.process_request, patches)


def _handing_over(process: Callable[..., None], patches: SocketPatches) -> Callable[..., None]:
    """Return ``process``, which forks a child that serves one connection and ends."""

    def process_request(self: Any, request: Any, client_address: Any) -> None:
        patches.handed_over = getattr(request, "fileno", lambda: -1)()  # a datagram is a pair
        try:
            process(self, request, client_address)
        finally:
            patches.handed_over = -1

    return process_request


PATCHES: dict[str, Patch] = {
    "uvloop": _patch_uvloop,
    "gevent._socket3": _patch_gevent,
    "socketserver": _patch_socketserver,
    "multiprocessing.reduction": patch_reduction,
}


class _ImportWatcher(importlib.abc.MetaPathFinder):
    """An import hook that patches a module after its execution."""

    def __init__(self, waiting: dict[str, Callable[[ModuleType], None]]) -> None:
        self._waiting = waiting

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        patch = self._waiting.pop(name, None)
        if patch is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchLoader(spec.loader, patch)
        return spec


class _PatchLoader(importlib.abc.Loader):
    """Wraps another loader and calls ``patch`` after it."""

    def __init__(self, loader: Any, patch: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._change = patch

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Delegate to the wrapped loader."""
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Delegate to the wrapped loader, restore it, and patch the module."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._change(module)
