"""A primary of either kind, its events, and the clients of its workers."""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.harness.server import environment

HERE = Path(__file__).parent
PATIENCE = 30.0  # seconds
COMMANDS = {
    "node": ["node", str(HERE / "primary.js")],
    "pyfork": [sys.executable, str(HERE / "primary.py")],
}

Fact = tuple[str, int, bool | None, list[Any]]
"""Event, worker, exited after disconnect, what else the handler got."""


class Primary:
    """The program, driven line by line."""

    def __init__(self, kind: str, policy: str) -> None:
        self.kind = kind
        self.policy = policy
        self.facts: list[Fact] = []
        self.pids: dict[int, int] = {}
        self._process = subprocess.Popen(
            [*COMMANDS[kind], policy],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        for pid in self.pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._thread.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            stream.close()
        for fact in self.facts:
            print(self.kind, *fact)

    def tell(self, *order: object) -> None:
        """One line."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def fork(self, at: int, **env: str) -> int:
        """A worker that listens at a port; its id."""
        self.tell("fork", {"AT": str(at), **env})
        _, worker, _, (pid,) = self.wait("forked")
        self.pids[worker] = pid
        return worker

    def wait(self, event: str, worker: int | None = None) -> Fact:
        """The next such event; those before it are remembered."""
        return self._until(lambda fact: fact[0] == event and worker in (None, fact[1]))

    def seen(self, event: str, worker: int) -> Fact:
        """Such an event, before or yet to come."""
        for fact in self.facts:
            if fact[:2] == (event, worker):
                return fact
        return self.wait(event, worker)

    def wait_gone(self, worker: int) -> None:
        """Until it has disconnected and ended. Node does not promise which it tells first."""
        self.seen("exit", worker)
        self.seen("disconnect", worker)
        if self.kind == "node":
            self.facts.sort(key=lambda fact: fact[:2] == ("exit", worker))

    def ask(self, worker: int, *order: object) -> Any:
        """What a worker answers."""
        self.tell("send", worker, order)
        return self.wait("message", worker)[3][0]

    def history(self, worker: int) -> list[tuple[Any, ...]]:
        """What happened to a worker, without what differs from run to run."""
        own = [fact for fact in self.facts if fact[1] == worker and fact[0] != "forked"]
        return [(event, after, _plain(event, rest)) for event, _, after, rest in own]

    def _until(self, found: Callable[[Fact], bool]) -> Fact:
        while True:
            line = self._lines.get(timeout=PATIENCE)
            assert line, f"{self.kind} has ended"
            event, worker, after, rest = json.loads(line)
            fact = (event, worker, after, rest)
            self.facts.append(fact)
            if found(fact):
                return fact

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")


def _plain(event: str, rest: list[Any]) -> list[Any]:
    if event == "listening":
        address, _, kind = rest
        return [address, kind]
    if event == "message" and "port" in rest[0]:
        return ["a port"]
    return rest


class Client:
    """A connection that stays open."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def say(self) -> None:
        """Ask."""
        self._socket.sendall(b"?")

    def hear(self, patience: float = PATIENCE) -> int:
        """The worker that answers; 0 if the connection was cut, or within ``patience`` nobody."""
        self._socket.settimeout(patience)
        try:
            return int(self._socket.recv(100) or b"0")
        except (ConnectionResetError, TimeoutError):
            return 0

    def ask(self) -> int:
        """Both."""
        self.say()
        return self.hear()


def ask(port: int) -> int:
    """The worker that answers on a connection of its own."""
    with Client(port) as client:
        return client.ask()


def refused(port: int) -> bool:
    """Whether nobody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False
