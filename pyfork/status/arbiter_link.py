"""The connection to the arbiter: one question at a time, shared by all who ask meanwhile."""

import asyncio
import json
import socket
from typing import Any

MAX_ANSWER = 8 << 20  # bytes
QUESTION = b'{"request": "status"}\n'


class ArbiterLink:
    """Asks for the status."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asking: asyncio.Task[dict[str, Any]] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watching = asyncio.create_task(self._watch())
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()

    @classmethod
    async def connect(cls, link: socket.socket) -> "ArbiterLink":
        """Use ``link`` from now on."""
        reader, writer = await asyncio.open_unix_connection(sock=link, limit=MAX_ANSWER)
        return cls(reader, writer)

    async def status(self, limit: float) -> dict[str, Any]:
        """The status. Raises TimeoutError: the arbiter does not answer in ``limit`` seconds.

        The answer to a question that came too late is waited for before the next is asked.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.wait_for(asyncio.shield(self._asking), limit)

    async def _ask(self) -> dict[str, Any]:
        self._writer.write(QUESTION)
        answer = json.loads(await self._answers.get())
        status: dict[str, Any] = answer["status"]
        return status

    async def _watch(self) -> None:
        """Read answers until the arbiter has gone."""
        try:
            while line := await self._reader.readline():
                self._answers.put_nowait(line)
        except (OSError, ValueError):
            pass
        self.ended.set_result(None)
