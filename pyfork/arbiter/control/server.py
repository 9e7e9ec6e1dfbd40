"""The arbiter's end of the control socket: lines in, lines out.

All buffers are bounded, and nothing blocks: a client that exceeds a limit is dropped. Only
processes of the same user or of root may connect: the mode of the socket file and, on Linux, the
credentials of the peer ensure that.

Rules: knows lines, not their meaning; waits only by the arbiter's `Poller`.
"""

import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping

from pyfork.arbiter.component import Component
from pyfork.ipc.poller import READ, WRITE, Poller
from pyfork.net import control_socket
from pyfork.net.unix import SocketFile
from pyfork.system.peercred import peer_credentials

MAX_LINE = 64 << 10  # bytes of one request
MAX_UNSENT = 4 << 20  # bytes of answers that a client has not read
MAX_CLIENTS = 16
CHECK_SECONDS = 1.0  # between two checks that the socket's file exists
RETRY = 60.0  # seconds until a failed bind is repeated

log = logging.getLogger("pyfork.error")


class ControlServer(Component):
    """The listening socket and its clients."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._socket: socket.socket | None = None
        self._file: SocketFile | None = None
        self._setting = ""
        self._look_at = 0.0  # when the file is checked next
        self._clients: list[Client] = []  # the most recently active one comes last
        self._ready: list[Client] = []  # that may have a request

    def open(self, setting: str) -> None:
        """Listen at the path that ``--control`` sets, if possible."""
        self._setting = setting
        if place := control_socket.listen(setting):
            self._listen_at(place)

    def _listen_at(self, place: control_socket.BoundSocket) -> None:
        self._socket, self._file = place
        self._poller.watch(self._socket, self._accept)
        log.debug("control socket: %s", self._file.path if self._file else self._setting)

    @property
    def deadline(self) -> float | None:
        """When the socket's file is checked next."""
        return self._look_at if self._file else None

    def take(self) -> Iterator[tuple["Client", bytes]]:
        """The requests of clients, one line each. A client's next line comes after its answer."""
        ready, self._ready = self._ready, []
        for client in ready:
            for line in client.requests():
                yield client, line

    def tick(self, now: float) -> None:
        """Listen again if the file was removed, as cleaners of /tmp and /run do."""
        if not self._file or now < self._look_at:
            return
        self._look_at = now + CHECK_SECONDS
        if os.path.lexists(self._file.path):
            return
        path = self._file.path
        if place := control_socket.listen(self._setting):
            self._unlisten()
            self._listen_at(place)
            log.info("the control socket %s was removed: it is made again", path)
        else:
            self._look_at = now + RETRY

    @property
    def is_open(self) -> bool:
        """Whether it listens."""
        return self._socket is not None

    def resume(self, fd: int) -> "Client":
        """A client of the program before an exec, which waits for an answer."""
        client = Client(socket.socket(fileno=fd), self, self._poller)
        client.waits = True
        self._clients.append(client)
        return client

    def adopt(self, end: socket.socket) -> None:
        """A connection to a child of this arbiter is a client that is never dropped for others."""
        client = Client(end, self, self._poller)
        client.is_own = True
        self._clients.append(client)

    def unlisten(self) -> None:
        """Stop listening, and remove the file; connected clients stay."""
        self._unlisten()
        if self._file:
            with contextlib.suppress(OSError):
                self._file.remove()
            self._file = None

    def _unlisten(self) -> None:
        if self._socket:
            self._poller.unwatch(self._socket)
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Close the socket and all clients."""
        self.unlisten()
        for client in self._clients.copy():
            client.drop()

    def close_in_child(self) -> None:
        """Close the descriptors in a forked child."""
        for end in (self._socket, *self._clients):
            if end:
                end.close()

    def remove(self, client: "Client") -> None:
        """Forget a client that has disconnected."""
        self._clients.remove(client)

    def touch(self, client: "Client") -> None:
        """A client was active, and may have a request."""
        self._clients.remove(client)
        self._clients.append(client)
        self._ready.append(client)

    def _accept(self, mask: int) -> None:
        assert self._socket
        try:
            end, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # no more files for this process: the loop would spin
            log.error("the control socket is closed: %s", error)
            self.unlisten()
            return
        if not _may_speak(end):
            log.warning("a control connection of another user was refused")
            end.close()
            return
        self._make_room()
        self._clients.append(Client(end, self, self._poller))

    def _make_room(self) -> None:
        """Drop the client that was inactive for longest, and preferably waits for nothing."""
        others = [client for client in self._clients if not client.is_own]
        if len(others) >= MAX_CLIENTS:
            min(others, key=lambda client: client.waits).drop()


class Client:
    """One connection. Its requests are answered in order, one at a time."""

    def __init__(self, end: socket.socket, server: ControlServer, poller: Poller) -> None:
        end.setblocking(False)
        self.waits = False  # `finish` will send its answer
        self.is_own = False  # a child of this arbiter
        self._socket = end
        self._server = server
        self._poller = poller
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._ended = False  # it will say no more
        self._gone = False
        self._watch()

    def send(self, answer: Mapping[str, object]) -> None:
        """Send a line; if the client is gone, it does not matter."""
        if self._gone:
            return
        self._outgoing += json.dumps(answer).encode() + b"\n"
        self._flush()
        if len(self._outgoing) > MAX_UNSENT:
            self.drop()

    def fileno(self) -> int:
        """The fd of the connection."""
        return self._socket.fileno()

    @property
    def gone(self) -> bool:
        """Whether the connection has ended, or was given away."""
        return self._gone

    def finish(self, answer: Mapping[str, object]) -> None:
        """Send what the client waited for, and hear it again when the loop next turns."""
        self.waits = False
        self.send(answer)
        if not self._gone:
            self._poller.watch(self._socket, self._called, events=WRITE)

    def detach(self) -> tuple[socket.socket, bytes]:
        """Give the connection away, with what was read of it and not yet heard.

        It is non-blocking; from now on it is the caller's to watch, to close, also in
        every child.
        """
        self._leave()
        return self._socket, bytes(self._incoming)

    def drop(self) -> None:
        """End the connection."""
        if not self._gone:
            self._leave()
            self._socket.close()

    def close(self) -> None:
        """Close the descriptors in a forked child."""
        self._socket.close()

    def _leave(self) -> None:
        self._gone = True
        self._poller.unwatch(self._socket)
        self._server.remove(self)

    def _called(self, mask: int) -> None:
        self._server.touch(self)
        if mask & WRITE:
            self._flush()
        if mask & READ and not self._gone:
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(MAX_LINE)
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        self._incoming += data or b"\n"  # the last line may lack its end
        self._ended = not data

    def _flush(self) -> None:
        try:
            del self._outgoing[: self._socket.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self.drop()

    def requests(self) -> Iterator[bytes]:
        """The lines that have arrived, as long as each is answered; then wait for more."""
        while not (self._gone or self.waits or self._outgoing):
            line, end, rest = self._incoming.partition(b"\n")
            if len(line) > MAX_LINE:
                self.send({"ok": False, "error": f"a line is longer than {MAX_LINE} bytes"})
                self.drop()
                return
            if not end:
                break
            self._incoming = rest
            if line.strip():
                yield bytes(line)
        if not self._gone:
            self._settle()

    def _settle(self) -> None:
        idle = not (self.waits or self._outgoing)
        if (self._ended and idle) or len(self._incoming) > MAX_LINE:  # it talks, and does not read
            self.drop()
        else:
            self._watch()

    def _watch(self) -> None:
        events = (0 if self._ended else READ) | (WRITE if self._outgoing else 0)
        if events:
            self._poller.watch(self._socket, self._called, events=events)
        else:
            self._poller.unwatch(self._socket)


def _may_speak(end: socket.socket) -> bool:
    """The other side is ours or root's, as far as the kernel tells."""
    peer = peer_credentials(end)
    return peer is None or peer.uid in (0, os.geteuid())
