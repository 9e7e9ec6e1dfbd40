"""The load client, a process of its own: python -m tests.end_to_end.load.client URL [OPTIONS].

Half of its clients keep their connection, think for a while between two requests and notice when
the server closes it meanwhile; the other half open a new one for each request. Every outcome is
counted apart and nothing is tried again. It stops by itself, at TERM at the latest as soon as
what runs is answered, prints its seed and a table to stderr, and a report as JSON to stdout.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.end_to_end.load.connection import Connection, Response, Target
from tests.end_to_end.load.content import big, title
from tests.end_to_end.load.outcomes import Loss, Outcome, Report

BIG = big()
ENOUGH = 20  # answers, for the load to be on
KINDS = ("small", "slow", "stream", "whole")


@dataclass(frozen=True, slots=True)
class Load:
    """What the clients do. Shares are of requests, times are seconds."""

    clients: int = 100
    seconds: float = 5.0
    think: float = 2.0  # a kept connection idles for up to this long between two requests
    pause: float = 0.5  # a client without a connection waits up to this long before it makes one
    slow: float = 0.01  # share
    slowest: float = 3.0
    stream: float = 0.01  # share that is big and comes in pieces; as many come whole
    halting: float = 0.1  # share that is sent in two parts, with a pause between them
    halt: float = 0.3
    pipelined: float = 0.05  # share, on kept connections, that is sent with another behind it
    patience: float = 30.0  # for a whole answer


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and what is known about its answer beforehand."""

    name: str
    kind: str
    bytes: bytes

    def check(self, response: Response) -> str:
        """The version that answered. Raises Loss if the answer is not what it must be."""
        if response.status != 200:
            raise Loss(Outcome.STATUS, f"{response.status} {response.body[:80]!r} to {self.name}")
        version = response.headers.get("x-version", "")
        rest = BIG if self.kind in ("stream", "whole") else b""
        if response.body != title(self.name, version) + rest:
            what = f"{len(response.body)} bytes, {response.body[:40]!r}"
            raise Loss(Outcome.CONTENT, f"{what} to {self.name} from version {version!r}")
        return version


class Client:
    """One of them: its own random numbers, and at most one connection."""

    def __init__(self, number: int, target: Target, load: Load, report: Report, born: float):
        self._number = number
        self._target = target
        self._load = load
        self._report = report
        self._born = born
        self._random = random.Random(f"{report.seed}/{number}")
        self._connection: Connection | None = None
        self._asked = 0

    async def live(self, over: Callable[[], bool]) -> None:
        """Ask until it is over; odd ones keep their connection."""
        turn = self._with_kept if self._number % 2 else self._with_fresh
        await asyncio.sleep(self._random.random() * self._load.pause)
        while not over():
            try:
                await turn()
            except Loss as loss:
                self._drop()
                now = time.monotonic() - self._born
                self._report.count(loss.outcome, f"{now:.3f} s, client {self._number}, {loss}")
        self._drop()

    async def _with_fresh(self) -> None:
        await asyncio.sleep(self._random.random() * self._load.pause)
        began = time.monotonic()
        self._connection = connection = await Connection.open(self._target)
        closing = self._random.random() < 0.5
        await self._ask(connection, [self._request(closing=closing)], began, closing=closing)
        self._drop()

    async def _with_kept(self) -> None:
        began = time.monotonic()
        connection = self._connection
        if connection is None:
            connection = self._connection = await Connection.open(self._target)
        requests = [self._request()]
        if self._random.random() < self._load.pipelined:
            requests.append(self._request())
        await self._ask(connection, requests, began, closing=False)
        await connection.idle(self._random.random() * self._load.think)

    async def _ask(
        self, connection: Connection, requests: list[Request], began: float, *, closing: bool
    ) -> None:
        """Send, and count what comes back; ``closing`` if the close is asked for."""
        names = ", ".join(f"{each.kind} {each.name}" for each in requests)
        try:
            async with asyncio.timeout(self._load.patience):
                halted = await self._send(connection, b"".join(each.bytes for each in requests))
                for request in requests:
                    response = await connection.read_response()
                    version = request.check(response)
                    now = time.monotonic()
                    plain = not halted and len(requests) == 1
                    kind = request.kind if plain else f"{request.kind} in parts or a row"
                    self._report.answered(kind, version, now - self._born, now - began)
                    if response.closing and not closing:
                        raise Loss(Outcome.TOLD_TO_CLOSE, names)
                if closing:
                    await connection.end()
        except TimeoutError as error:
            raise Loss(Outcome.SILENT, names) from error
        except Loss as loss:
            raise Loss(loss.outcome, f"{names}: {loss}") from loss

    async def _send(self, connection: Connection, data: bytes) -> bool:
        """Send, maybe with a pause somewhere; whether there was one."""
        if self._random.random() >= self._load.halting:
            await connection.send(data)
            return False
        cut = self._random.randrange(1, len(data))
        await connection.send(data[:cut])
        await asyncio.sleep(self._random.random() * self._load.halt)
        await connection.send(data[cut:])
        return True

    def _request(self, *, closing: bool = False) -> Request:
        self._asked += 1
        load = self._load
        kind = self._random.choices(
            KINDS, (1 - load.slow - 2 * load.stream, load.slow, load.stream, load.stream)
        )[0]
        name = f"{self._number}-{self._asked}"
        query = f"n={name}"
        if kind == "slow":
            query += f"&s={self._random.random() * load.slowest:.3f}"
        extra = "Connection: close\r\n" if closing else ""
        head = f"GET /{kind}?{query} HTTP/1.1\r\nHost: load\r\n{extra}\r\n"
        return Request(name, kind, head.encode())

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def run(target: Target, load: Load, report: Report) -> None:
    """Let all clients live for as long as the load lasts, or until TERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.call_later(load.seconds, stop.set)
    born = time.monotonic()
    clients = [Client(number, target, load, report, born) for number in range(load.clients)]
    said = loop.create_task(announce(report))
    await asyncio.gather(*(client.live(stop.is_set) for client in clients))
    said.cancel()
    report.lasted = time.monotonic() - born


async def announce(report: Report) -> None:
    """Say when the first answers have come."""
    while report.counts[Outcome.OK] < ENOUGH:
        await asyncio.sleep(0.02)
    print("the load is on", file=sys.stderr, flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Load, with every outcome counted apart.")
    parser.add_argument("url", help="http://HOST:PORT, https://HOST:PORT or unix:PATH")
    parser.add_argument("--ca", default="", help="a file, for https")
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    for name, field in Load.__dataclass_fields__.items():
        kind = int if field.default.__class__ is int else float
        parser.add_argument(f"--{name}", type=kind, default=field.default)
    options = vars(parser.parse_args())
    target, report = (
        Target.parse(options.pop("url"), options.pop("ca")),
        Report(options.pop("seed")),
    )
    print(f"seed {report.seed}", file=sys.stderr, flush=True)
    asyncio.run(run(target, Load(**options), report))
    print(report.table(), file=sys.stderr, flush=True)
    print(report.json())


if __name__ == "__main__":
    main()
