"""How processes that a script has started ask for what their worker asks the arbiter for.

A forked child has no use of the worker's channel: answers to two processes would mix. It sends its
question to the worker, over a datagram pair that all children have, and with it one end of a
socket pair for the answer. The worker's link passes it on, and the answer back.

    child --QueryServer, end of a pair, its socket--> worker --QueryServer, its socket--> arbiter
    child <------------------- Shared, the handle --- worker <------Shared, the handle---

Rules: no thread in the child, and no lock that a fork could leave locked.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from socket import AF_UNIX, SOCK_DGRAM, recv_fds, send_fds, socket, socketpair

from pyfork.cluster.script.arbiter_client import ArbiterClient, ArbiterGone
from pyfork.ipc.messages import (
    FileAnswer,
    FileQuery,
    Message,
    QueryServer,
    ScriptClosed,
    ScriptListening,
    ServerHandle,
    decode,
    encode,
)

_MOST = 1 << 16  # bytes of a message: an address, and little more
_FDS = 2  # beside one


class FarLink:
    """A child's link to the arbiter, by way of its worker."""

    def __init__(self, door: socket) -> None:
        self._door = door
        self.gone = False

    def fileno(self) -> int:
        """To be inherited."""
        return self._door.fileno()

    def send(self, message: Message) -> None:
        """Tell the arbiter."""
        self._send(message, ())

    def call(
        self, question: Callable[[int], Message], fds: Sequence[int] = ()
    ) -> tuple[Message, tuple[int, ...]]:
        """As `ArbiterClient.ask`. Raises ArbiterGone, also if the worker is."""
        ours, theirs = socketpair()
        with ours:
            with theirs:
                ours.settimeout(None)
                self._send(question(0), [theirs.fileno(), *fds])
            data, received, _, _ = recv_fds(ours, _MOST, 1) if not self.gone else (b"", [], 0, 0)
        if not data:
            raise ArbiterGone("the worker is gone")
        return decode(data), _own(received)

    def _send(self, message: Message, fds: Sequence[int]) -> None:
        try:
            send_fds(self._door, [encode(message)], list(fds))
        except OSError:
            self.gone = True


class Door:
    """The worker's side.

    Args:
        link: its own.
        keeps: whether the script itself has a copy of that handle.
        listens: called when a child does.
    """

    def __init__(
        self, link: ArbiterClient, *, keeps: Callable[[str], bool], listens: Callable[[], None]
    ) -> None:
        self._link = link
        self._keeps = keeps
        self._listens = listens
        self._inner, self.outer = socketpair(AF_UNIX, SOCK_DGRAM)
        self._inner.setblocking(False)
        self._used: Counter[str] = Counter()  # handles, by children
        self.fileno = self._inner.fileno

    def uses(self, key: str) -> bool:
        """Whether a child may have a copy of that handle."""
        return self._used[key] > 0

    def close(self) -> None:
        """In a child: the worker's side is not its own, or it would not see the worker's end."""
        self._inner.close()

    def hear(self) -> None:
        """Take one message of a child's."""
        try:
            data, received, _, _ = recv_fds(self._inner, _MOST, _FDS)
        except OSError:
            return
        fds = _own(received)
        try:
            self._take(decode(data), fds)
        except (KeyError, TypeError, ValueError):  # not one of ours has found the door
            pass
        finally:
            for fd in fds:
                os.close(fd)

    def _take(self, message: Message, fds: tuple[int, ...]) -> None:
        match message:
            case QueryServer(_, key, address, umask) if len(fds) == 2:
                self._used[key] += 1
                self._link.pass_on(
                    lambda number: QueryServer(number, key, address, umask), fds[1:], _reply(fds[0])
                )
            case FileQuery(_, path) if fds:
                self._link.pass_on(lambda number: FileQuery(number, path), (), _reply(fds[0]))
            case ScriptListening(key):
                self._link.send(ScriptListening(key))
                self._listens()
            case ScriptClosed(key):
                self._used[key] -= 1
                if not (self.uses(key) or self._keeps(key)):
                    self._link.send(message)


def _reply(fd: int) -> Callable[[Message | None, Sequence[int]], None]:
    """Answers to the child at the other end of ``fd``, or closes that end: there is no answer."""
    end = socket(fileno=os.dup(fd))

    def reply(answer: Message | None, fds: Sequence[int]) -> None:
        with end, suppress(OSError):
            if isinstance(answer, ServerHandle | FileAnswer):
                send_fds(end, [encode(answer)], list(fds))

    return reply


def _own(received: Sequence[int]) -> tuple[int, ...]:
    for fd in received:
        os.set_inheritable(fd, False)
    return tuple(received)
