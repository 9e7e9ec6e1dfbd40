"""Relay of calls between the children of a worker and the arbiter.

A forked child cannot use the worker's channel, since two processes would mix up their answers. It
sends its request to the worker over a datagram pair that all children have, with one end of a
socket pair for the answer. The worker passes on the request and the answer.

    child --QueryServer, end of a pair, its socket--> worker --QueryServer, its socket--> arbiter
    child <-------------- ServerHandle, the handle -- worker <--- ServerHandle, the handle ---

    child --QuerySources, end of a pair--> worker
    child <--- Sources, the sources ------ worker

Rules: the child starts no thread, and has no lock that a fork could leave locked.
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
    QuerySources,
    ScriptClosed,
    ScriptListening,
    ServerHandle,
    Sources,
    decode,
    encode,
)

_MAX_MESSAGE = 1 << 16  # bytes; a message has one address
_MAX_FDS = 2  # the end for the answer, and a socket
_MAX_ANSWER_FDS = 64  # the sources of an epoll: a handle, its reuseport sockets, a queue


class RelayedClient:
    """A child's client of the arbiter, by way of its worker."""

    def __init__(self, relay: socket) -> None:
        self._relay = relay
        self.gone = False

    def fileno(self) -> int:
        """Return the descriptor that a child inherits."""
        return self._relay.fileno()

    def send(self, message: Message) -> None:
        """Send ``message``; no answer is expected."""
        self._send(message, ())

    def call(
        self, request: Callable[[int], Message], fds: Sequence[int] = ()
    ) -> tuple[Message, tuple[int, ...]]:
        """As `ArbiterClient.call`. Raises ArbiterGone, also if the worker is gone."""
        ours, theirs = socketpair()
        with ours:
            with theirs:
                ours.settimeout(None)
                self._send(request(0), [theirs.fileno(), *fds])
            data, received, _, _ = (
                recv_fds(ours, _MAX_MESSAGE, _MAX_ANSWER_FDS) if not self.gone else (b"", [], 0, 0)
            )
        if not data:
            raise ArbiterGone("the worker is gone")
        return decode(data), _own(received)

    def _send(self, message: Message, fds: Sequence[int]) -> None:
        try:
            send_fds(self._relay, [encode(message)], list(fds))
        except OSError:
            self.gone = True


class Relay:
    """The worker's side.

    Args:
        arbiter: the worker's client.
        has_handle: whether the script itself has a copy of a handle.
        listens: called when a child listens.
        sources: returns the descriptors of the probe and of the sources of an epoll.
    """

    def __init__(
        self,
        arbiter: ArbiterClient,
        *,
        has_handle: Callable[[str], bool],
        listens: Callable[[], None],
        sources: Callable[[str], tuple[int, list[int]]],
    ) -> None:
        self._arbiter = arbiter
        self._keeps = has_handle
        self._listens = listens
        self._sources = sources
        self._socket, self.child_end = socketpair(AF_UNIX, SOCK_DGRAM)
        self._socket.setblocking(False)
        self._uses_by_key: Counter[str] = Counter()  # copies of handles that children have
        self.fileno = self._socket.fileno

    def uses(self, key: str) -> bool:
        """Whether a child may have a copy of the handle ``key``."""
        return self._uses_by_key[key] > 0

    def close(self) -> None:
        """In a child: close the worker's side, or the child would not see the worker's end."""
        self._socket.close()

    def on_readable(self) -> None:
        """Handle one message of a child."""
        try:
            data, received, _, _ = recv_fds(self._socket, _MAX_MESSAGE, _MAX_FDS)
        except OSError:
            return
        fds = _own(received)
        try:
            self._take(decode(data), fds)
        except (KeyError, TypeError, ValueError):  # it is not a message of ours
            pass
        finally:
            for fd in fds:
                os.close(fd)

    def _take(self, message: Message, fds: tuple[int, ...]) -> None:
        match message:
            case QueryServer(_, key, address, umask) if len(fds) == 2:
                self._uses_by_key[key] += 1
                self._arbiter.pass_on(
                    lambda number: QueryServer(number, key, address, umask), fds[1:], _reply(fds[0])
                )
            case QuerySources(_, key) if fds:
                probe, sources = self._sources(key)
                _reply(fds[0])(Sources(0, probe, sources), sources)
            case FileQuery(_, path) if fds:
                self._arbiter.pass_on(lambda number: FileQuery(number, path), (), _reply(fds[0]))
            case ScriptListening(key):
                self._arbiter.send(ScriptListening(key))
                self._listens()
            case ScriptClosed(key):
                self._uses_by_key[key] -= 1
                if not (self.uses(key) or self._keeps(key)):
                    self._arbiter.send(message)


def _reply(fd: int) -> Callable[[Message | None, Sequence[int]], None]:
    """Return a function that answers the child at the other end of ``fd``.

    None as the answer closes the pair.
    """
    end = socket(fileno=os.dup(fd))

    def reply(answer: Message | None, fds: Sequence[int]) -> None:
        with end, suppress(OSError):
            if isinstance(answer, ServerHandle | FileAnswer | Sources):
                send_fds(end, [encode(answer)], list(fds))

    return reply


def _own(received: Sequence[int]) -> tuple[int, ...]:
    for fd in received:
        os.set_inheritable(fd, False)
    return tuple(received)
