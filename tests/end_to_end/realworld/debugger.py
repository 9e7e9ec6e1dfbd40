"""A debugger of the Debug Adapter Protocol: enough of one to stop at a line and go on."""

import json
import socket
from types import TracebackType
from typing import Any


class Debugger:
    """Attached to ``127.0.0.1:port`` while the block lasts."""

    def __init__(self, port: int, timeout: float) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._stream = self._socket.makefile("rb")
        self._sent = 0
        self._received: list[dict[str, Any]] = []  # what was read and not asked for yet

    def __enter__(self) -> "Debugger":
        self.ask("initialize", adapterID="tests", pathFormat="path", linesStartAt1=True)
        self._send("attach", {"justMyCode": False})  # answered when all is configured
        self.event("initialized")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The body of the answer. Raises AssertionError if it is a refusal."""
        number = self._send(command, arguments)
        answer = self._wait("response", "request_seq", number)
        assert answer["success"], answer
        return answer.get("body") or {}

    def event(self, name: str) -> dict[str, Any]:
        """The body of the next event of that name, once it has come."""
        return self._wait("event", "event", name).get("body") or {}

    def _send(self, command: str, arguments: dict[str, Any]) -> int:
        self._sent += 1
        message = {
            "seq": self._sent,
            "type": "request",
            "command": command,
            "arguments": arguments,
        }
        body = json.dumps(message).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return self._sent

    def _wait(self, kind: str, key: str, value: object) -> dict[str, Any]:
        while True:
            for message in self._received:
                if message["type"] == kind and message.get(key) == value:
                    self._received.remove(message)
                    return message
            self._received.append(self._read())

    def _read(self) -> dict[str, Any]:
        length = int(self._stream.readline().partition(b":")[2])
        assert self._stream.readline() == b"\r\n"
        message: dict[str, Any] = json.loads(self._stream.read(length))
        return message
