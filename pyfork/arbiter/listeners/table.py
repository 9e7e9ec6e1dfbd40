"""The listeners, and which generations use them.

A listener is bound before the generation that asks for it is born, shared by all that name the
same address, and closed when the last of those is gone. An address may have more sockets than one,
with a queue each (``--dispatch reuseport``); all of them live as long, since what is queued on one
would be lost with it.
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

MOST = 32  # queues in all: an upgrade passes them on in one message


class ListenerTable(Component):
    """Every listener of the arbiter."""

    def __init__(self) -> None:
        self._listeners: dict[str, Listener] = {}  # by the address asked for
        self._beside: dict[str, list[socket.socket]] = {}  # more sockets, by the same
        self.handles = Handles()  # what scripts have bound
        self._uses: dict[int, tuple[str, ...]] = {}  # generation -> addresses, in their order
        self._lent: set[str] = set()  # another arbiter serves there too, and has the socket files

    def inherit(
        self, sockets: Mapping[FdName, socket.socket], generation: int, *, own_files: bool
    ) -> None:
        """Take the sockets of another arbiter, or of the program before an exec.

        Those that no generation uses are closed later. ``generation`` may use handles of scripts.
        Without ``own_files`` the socket files are another arbiter's, and stay when this one ends.
        """
        handles = {name: each for name, each in sockets.items() if name.kind == FdKind.HANDLE}
        self.handles.inherit(handles, generation)
        for (kind, text, index), each in sockets.items():
            if kind != FdKind.LISTENER:
                continue
            if index:
                self._beside.setdefault(text, []).append(each)
                continue
            passed = isinstance(parse(text), InheritedFd)  # then its file is its owner's, too
            self._listeners[text] = from_fd(each, with_file=not passed)
        if not own_files:
            self.release_files()

    def release_files(self) -> None:
        """Another arbiter has everything that is open now, and removes the socket files."""
        self._lent = set(self._listeners)
        self.handles.release_files()

    def own_files(self) -> None:
        """The socket files are ours, whoever's they were."""
        self._lent.clear()
        self.handles.own_files()

    def open(self, generation: int, config: Config) -> None:
        """Bind what ``generation`` needs and nobody has bound.

        Raises:
            BindError, ConfigError: it cannot have everything, so it has got nothing.
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
        """``generation`` used these already, in the image of this process before."""
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
        """Give each TCP address of a generation so many queues, if it has not more already.

        Raises:
            OSError: the system does not give them.
        """
        tcp = [text for text in self._uses[generation] if self._is_tcp(text)]
        for text in tcp:
            beside = self._beside.setdefault(text, [])
            while len(beside) + 1 < min(queues, MOST // len(tcp)):
                beside.append(bind_reuseport(self._listeners[text].socket, backlog=backlog))

    def addresses(self, generation: int) -> list[str]:
        """What they are bound to, as text, paths absolute; nothing when they are closed."""
        listeners = [self._listeners[text] for text in self._uses.get(generation, ())]
        bound = [f"unix:{each.file.path}" if each.file else str(each.address) for each in listeners]
        return bound + self.handles.addresses()

    def not_of_generation(self, generation: int) -> list[socket.socket]:
        """The sockets that a worker of this generation must not hold."""
        own = self._uses[generation]
        others = self._sockets(text for text in self._listeners if text not in own).values()
        return [*others, *self.handles.sockets().values()]

    def release(self, generation: int) -> None:
        """``generation`` is no more: close what nobody else uses."""
        self._uses.pop(generation, None)
        self.handles.release(generation)
        self._close_unless(lambda text: any(text in uses for uses in self._uses.values()))

    def release_below(self, generation: int) -> None:
        """All lower generations are no more."""
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
        """Close all: this is the end of the port, where nobody else has the sockets."""
        for text, listener in self._listeners.items():
            if text not in self._lent and not isinstance(parse(text), InheritedFd):
                for each in (listener.socket, *self._beside.get(text, ())):
                    refuse_new(each)
        self._uses.clear()
        self.handles.close()
        self._close_unless(lambda text: False)

    def _is_tcp(self, text: str) -> bool:
        return self._listeners[text].socket.family in (socket.AF_INET, socket.AF_INET6)

    def _sockets(self, texts: Iterable[str]) -> dict[FdName, socket.socket]:
        return {
            FdName(FdKind.LISTENER, text, index): each
            for text in texts
            for index, each in enumerate(
                (self._listeners[text].socket, *self._beside.get(text, ()))
            )
        }

    def _close_unless(self, used: Callable[[str], bool]) -> None:
        for text in [text for text in self._listeners if not used(text)]:
            for beside in self._beside.pop(text, ()):
                beside.close()
            listener = self._listeners.pop(text)
            if text in self._lent:
                listener.socket.close()
            else:
                listener.close()
