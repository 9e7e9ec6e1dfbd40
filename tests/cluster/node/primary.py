"""Does what each line of its standard input says, and prints what happens, one JSON a line.

primary.js does the same.
"""

import asyncio
import errno
import json
import os
import socket
import socketserver
import sys
import threading
from contextlib import ExitStack

from pyfork import cluster


def report(*fact):
    print(json.dumps(fact), flush=True)


async def primary():
    everyone = {}

    def about(worker):
        everyone[worker.id] = worker
        return worker.id, worker.exited_after_disconnect

    cluster.schedule = sys.argv[1]
    cluster.on("setup", lambda how: report("setup", 0, None, [list(how.args), how.silent]))
    cluster.on("fork", lambda worker: report("fork", *about(worker), []))
    cluster.on("online", lambda worker: report("online", *about(worker), []))
    cluster.on(
        "listening",
        lambda worker, at: report("listening", *about(worker), [at.address, at.port, at.type]),
    )
    cluster.on("message", lambda worker, value: report("message", *about(worker), [value]))
    cluster.on("disconnect", lambda worker: report("disconnect", *about(worker), []))
    cluster.on("exit", lambda worker, status, name: report("exit", *about(worker), [status, name]))

    def fork(env):
        worker = cluster.fork(**env)
        report("forked", *about(worker), [worker.pid])

    orders = {
        "fork": fork,
        "send": lambda id, value: everyone[id].send(value),
        "disconnect": lambda id: everyone[id].disconnect(),
        "kill": lambda id: everyone[id].kill(),
        "setup": lambda args, silent: cluster.setup_primary(args=args, silent=silent),
        "end": lambda: cluster.disconnect(lambda: report("ended", 0, None, [])),
    }
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async for line in reader:
        order, *rest = json.loads(line)
        orders[order](*rest)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while self.request.recv(4096):
            self.request.sendall(f"{cluster.worker.id}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that is gone is no event."""


def reach(port):
    connection = socket.create_connection(("127.0.0.1", port))
    cluster.worker.send({"reached": port})

    def read():
        with connection:
            while connection.recv(4096):
                pass

    threading.Thread(target=read, daemon=True).start()


def worker():
    with ExitStack() as stack:
        if os.environ.get("EXCLUSIVE") == "1":
            stack.enter_context(cluster.exclusive())
        try:
            server = Server(("127.0.0.1", int(os.environ["AT"])), Handler)
        except OSError as error:
            cluster.worker.send({"error": errno.errorcode[error.errno]})
            server = None
    me = cluster.worker
    orders = {
        "where": lambda: me.send({"port": server.server_address[1]}),
        "echo": lambda value: me.send({"echo": value}),
        "reach": reach,
        "exit": sys.exit,
        "kill": me.kill,
        "disconnect": me.disconnect,
    }
    me.on("message", lambda told: orders[told[0]](*told[1:]))
    if server:
        server.serve_forever()


if cluster.is_primary:
    asyncio.run(primary())
else:
    worker()
