"""One call of an ASGI application, for a request or a WebSocket.

It is apart from the gateway, which may be compiled: the stack of a task, which the log shows at a
timeout, begins with this coroutine.
"""

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Protocol

from pyfork.http.connection.exchange import APP_FAILURE

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
AsgiApp = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Coroutine[Any, Any, None],
]


class Running(Protocol):
    """The server's side of the call."""

    def receive(self) -> Awaitable[Message]:
        """ASGI's ``receive``."""

    def send(self, message: Message) -> Awaitable[None]:
        """ASGI's ``send``."""

    def app_failed(self, error: BaseException) -> None:
        """The application raised ``error``, which is the current exception."""

    def app_returned(self) -> None:
        """The application returned."""

    def is_abandoned(self) -> bool:
        """Whether the coroutine is being closed because its loop has ended."""

    def end_unattended(self) -> None:
        """In a drain, end the task if it works for no client and does not know that."""

    def cancel(self) -> None:
        """End the task: the drain is over."""


async def run(app: AsgiApp, scope: Scope, call: Running) -> None:
    """Run the application in one task."""
    try:
        await app(scope, call.receive, call.send)
    except APP_FAILURE as error:
        if isinstance(error, GeneratorExit) and call.is_abandoned():
            raise
        call.app_failed(error)
    else:
        call.app_returned()
