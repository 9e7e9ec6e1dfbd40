"""The listeners, and the generations that use them.

A listener is bound before the generation that needs it starts, is shared by all generations with
the same address, and is closed after the last of them. With ``--dispatch reuseport`` an address has
several sockets, each with a queue. All of them are kept as long as the listener, since closing one
would reset the connections in its queue.
"""

import socket
from collections.abc import Callable, Iterable, Mapping

from pyfork.address import InheritedFd, parse
from pyfork.arbiter.component import Component
from pyfork.config.config import Config
from pyfork.dispatch.handles import Handles
from pyfork.ipc.fd_name import FdKind, FdName
from pyfork.net.bind import Listener, bind, bind_reuseport, from_fd
from pyfork.net.closing import refuse_new

MAX_REUSEPORT_SOCKETS = 32  # in total: an upgrade sends all sockets in one message


class ListenerTable(Component):
    """All listeners of the arbiter."""

    def __init__(self) -> None:
        self._listeners: dict[str, Listener] = {}  # by the address asked for
        self._extra: dict[str, list[socket.socket]] = {}  # more sockets of the same address
        self.handles = Handles()  # bound by scripts
        self._uses: dict[int, tuple[str, ...]] = {}  # addresses of each generation, in their order
        self._lent: set[str] = set()  # addresses whose socket files another arbiter owns

    def inherit(
        self, sockets: Mapping[FdName, socket.socket], generation: int, *, own_files: bool
    ) -> None:
        """Take the sockets of another arbiter, or of the program before an exec.

        Those that no generation uses are closed later. ``generation`` may use handles of scripts.
        Without ``own_files`` the socket files are another arbiter's, and stay when this one ends.
        """
        handles = {name: each for name, each in sockets.items() if name.kind == FdKind.HANDLE}
        self.handles.inherit(handles, generation)
        for (kind, text, index), sock in sockets.items():
            if kind != FdKind.LISTENER:
                continue
            if index:
                self._extra.setdefault(text, []).append(sock)
                continue
            passed = isinstance(parse(text), InheritedFd)  # then its file is not ours to remove
            self._listeners[text] = from_fd(sock, with_file=not passed)
        if not own_files:
            self.release_files()

    def release_files(self) -> None:
        """Another arbiter owns the socket files of all present listeners."""
        self._lent = set(self._listeners)
        self.handles.release_files()

    def own_files(self) -> None:
        """This arbiter owns all socket files."""
        self._lent.clear()
        self.handles.own_files()

    def open(self, generation: int, config: Config) -> None:
        """Bind the addresses of ``generation`` that are not bound yet.

        Raises:
            BindError, ConfigError: one of them failed, and none is kept.
        """
        addresses = {str(address): address for address in map(parse, config.bind)}
        self._uses[generation] = tuple(addresses)
        try:
            for text, address in addresses.items():
                if text not in self._listeners:
                    self._listeners[text] = bind(
                        address,
                        backlog=config.backlog,
                        unix_mode=config.unix_mode,
                        unix_owner=config.unix_owner,
                    )
        except BaseException:
            self.release(generation)
            raise

    def resume(self, generation: int, addresses: Iterable[str]) -> None:
        """``generation`` used these addresses in the program before an exec."""
        self._uses[generation] = tuple(text for text in addresses if text in self._listeners)

    def all_sockets(self) -> dict[FdName, socket.socket]:
        """Every socket of every listener, and of the handles of scripts."""
        return self._sockets(self._listeners) | self.handles.sockets()

    def of_generation(self, generation: int) -> tuple[Listener, ...]:
        """The listeners of a generation, in the order of its configuration."""
        return tuple(self._listeners[text] for text in self._uses[generation])

    def sockets(self, generation: int) -> dict[FdName, socket.socket]:
        """All sockets of a generation's listeners."""
        return self._sockets(self._uses.get(generation, ()))

    def queues(self, generation: int) -> list[list[FdName]]:
        """The names of the same, address by address."""
        return [list(self._sockets([text])) for text in self._uses[generation]]

    def add_reuseport_sockets(self, generation: int, queues: int, backlog: int) -> None:
        """Bind sockets until each TCP address of a generation has ``queues`` of them.

        Raises:
            OSError: the system has no more sockets.
        """
        tcp = [text for text in self._uses[generation] if self._is_tcp(text)]
        for text in tcp:
            extra = self._extra.setdefault(text, [])
            while len(extra) + 1 < min(queues, MAX_REUSEPORT_SOCKETS // len(tcp)):
                extra.append(bind_reuseport(self._listeners[text].socket, backlog=backlog))

    def addresses(self, generation: int) -> list[str]:
        """The bound addresses of a generation, as text, with absolute paths."""
        listeners = [self._listeners[text] for text in self._uses.get(generation, ())]
        bound = [f"unix:{each.file.path}" if each.file else str(each.address) for each in listeners]
        return bound + self.handles.addresses()

    def not_of_generation(self, generation: int) -> list[socket.socket]:
        """The sockets that a worker of this generation must close."""
        own = self._uses[generation]
        others = self._sockets(text for text in self._listeners if text not in own).values()
        return [*others, *self.handles.sockets().values()]

    def release(self, generation: int) -> None:
        """``generation`` is gone: close the listeners that no other one uses."""
        self._uses.pop(generation, None)
        self.handles.release(generation)
        self._close_unless(lambda text: any(text in uses for uses in self._uses.values()))

    def release_below(self, generation: int) -> None:
        """All lower generations are gone: close the listeners that no other one uses."""
        self._uses = {each: uses for each, uses in self._uses.items() if each >= generation}
        self.handles.release_below(generation)
        self._close_unless(lambda text: any(text in uses for uses in self._uses.values()))

    @property
    def deadline(self) -> float | None:
        """When the next handle of a script may be closed."""
        return self.handles.deadline

    def tick(self, now: float) -> None:
        """Close the handles of scripts that no worker uses any more."""
        self.handles.tick(now)

    def close_in_child(self) -> None:
        """Close a forked copy of every listener."""
        for listener in self.all_sockets().values():
            listener.close()

    def close(self) -> None:
        """Close all listeners. If no other process has them, no connection is reset."""
        for text, listener in self._listeners.items():
            if text not in self._lent and not isinstance(parse(text), InheritedFd):
                for sock in (listener.socket, *self._extra.get(text, ())):
                    refuse_new(sock)
        self._uses.clear()
        self.handles.close()
        self._close_unless(lambda text: False)

    def _is_tcp(self, text: str) -> bool:
        return self._listeners[text].socket.family in (socket.AF_INET, socket.AF_INET6)

    def _sockets(self, texts: Iterable[str]) -> dict[FdName, socket.socket]:
        return {
            FdName(FdKind.LISTENER, text, index): each
            for text in texts
            for index, each in enumerate((self._listeners[text].socket, *self._extra.get(text, ())))
        }

    def _close_unless(self, used: Callable[[str], bool]) -> None:
        for text in [text for text in self._listeners if not used(text)]:
            for extra in self._extra.pop(text, ()):
                extra.close()
            listener = self._listeners.pop(text)
            if text in self._lent:
                listener.socket.close()
            else:
                listener.close()
