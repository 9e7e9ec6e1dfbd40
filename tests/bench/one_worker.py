"""One worker's engine in this process, on one connection: what `instructions` counts.

    python -m tests.bench.one_worker APP LOOP FD [OPTIONS]

FD is the server's end of a connection. A byte on stdin is answered by one on stdout, and between
the two getppid is called: nothing else here calls it, so a profiler can tell by it where a
stretch of requests begins and ends. The connection's end is the process's.
"""

import asyncio
import os
import sys
from pathlib import Path

from pyfork.config.command_line.arguments import parse
from pyfork.config.directory import Start
from pyfork.config.load import load
from pyfork.ipc import channel
from pyfork.ipc.scoreboard import Scoreboard
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.net.accepted import ClientSocket
from pyfork.worker.engine_worker import EngineWorker
from pyfork.worker.main import load_app, worker_class


def make_worker(app: str, loop: str, *options: str) -> EngineWorker:
    """A worker of the class that the command would take, with no arbiter above it."""
    config = load(parse([app, "--loop", loop, "--lifespan", "off", *options]), {}, Path()).config
    scoreboard = Scoreboard(1)
    scoreboard.mark_used(0)
    args = WorkerArgs(
        config=config,
        slot=0,
        generation=1,
        listeners=(),
        addresses=(),
        channel=channel.pair()[0],
        row=scoreboard.row(0),
        scoreboard=scoreboard,
        directory=Start.of_process({}).enter(None),
    )
    loaded = load_app(config)
    worker = worker_class(config, loaded)(args, loaded)
    assert isinstance(worker, EngineWorker)
    return worker


async def serve(worker: EngineWorker, connection: ClientSocket) -> None:
    """Serve it until it ends."""
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), mark)
    worker.engine.count(1)
    protocol = worker.new_connection(connection)
    await loop.connect_accepted_socket(lambda: protocol, connection)
    while worker.engine.connections:
        worker.changed.clear()
        await worker.changed.wait()


def mark() -> None:
    """Let the profiler know."""
    if not os.read(sys.stdin.fileno(), 1):
        raise SystemExit("nobody listens any more")
    os.getppid()
    os.write(sys.stdout.fileno(), b".")


def main() -> None:
    app, loop, fd, *options = sys.argv[1:]
    worker = make_worker(app, loop, *options)
    asyncio.set_event_loop(worker.loop)
    connection = ClientSocket.adopt(int(fd))
    worker.loop.run_until_complete(serve(worker, connection))


if __name__ == "__main__":
    main()
