"""Servers that listen, fork, and accept in their children. ``prefork_script.py KIND PORT``.

Each answers every request with the number of the process that accepted it.
"""

import asyncio
import os
import socket
import sys

HOST = "127.0.0.1"
CHILDREN = 2


def response() -> bytes:
    text = b"%d\n" % os.getpid()
    return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


def listen(port: int) -> socket.socket:
    return socket.create_server((HOST, port), backlog=100)


def serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            if connection.recv(1000):
                connection.sendall(response())


def blocking(port: int) -> None:
    listener = listen(port)
    for _ in range(CHILDREN):
        if not os.fork():
            serve(listener)
    for _ in range(CHILDREN):
        os.wait()


def parent_too(port: int) -> None:
    listener = listen(port)
    for _ in range(CHILDREN):
        if not os.fork():
            break
    serve(listener)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.readline():
        writer.write(response())
        await writer.drain()
    writer.close()


async def accepting(listener: socket.socket) -> None:
    server = await asyncio.start_server(answer, sock=listener)
    await server.serve_forever()


def asyncio_children(port: int) -> None:
    """The parent closes its listener, as it has no use for it."""
    listener = listen(port)
    listener.setblocking(False)
    for _ in range(CHILDREN):
        if not os.fork():
            asyncio.run(accepting(listener))
            os._exit(0)
    listener.close()
    for _ in range(CHILDREN):
        os.wait()


def uvloop_children(port: int) -> None:
    import uvloop

    listener = listen(port)
    listener.setblocking(False)
    for _ in range(CHILDREN):
        if not os.fork():
            uvloop.run(accepting(listener))
            os._exit(0)
    for _ in range(CHILDREN):
        os.wait()


def tornado_processes(port: int) -> None:
    import tornado.httpserver
    import tornado.netutil
    import tornado.process
    import tornado.web

    class Handler(tornado.web.RequestHandler):
        def get(self) -> None:
            self.write(str(os.getpid()))

    async def main() -> None:
        server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Handler)]))
        server.add_sockets(sockets)
        await asyncio.Event().wait()

    sockets = tornado.netutil.bind_sockets(port, HOST)
    tornado.process.fork_processes(CHILDREN)
    asyncio.run(main())


def socketserver_children(port: int) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(response())

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer((HOST, port), Handler)
    for _ in range(CHILDREN):
        if not os.fork():
            server.serve_forever()
    for _ in range(CHILDREN):
        os.wait()


def forking_server(port: int) -> None:
    """A process for each request, which takes as long as a client asks for."""
    import time
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from socketserver import ForkingMixIn

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            print("begun", flush=True)
            time.sleep(float(self.path[1:] or 0))
            self.wfile.write(response())

        def log_message(self, *args: object) -> None:
            pass

    class Server(ForkingMixIn, HTTPServer):
        pass

    with Server((HOST, port), Handler) as server:
        server.serve_forever()


def multiprocessing_children(port: int, method: str) -> None:
    from multiprocessing import get_context

    listener = listen(port)
    context = get_context(method)
    children = [context.Process(target=serve, args=(listener,)) for _ in range(CHILDREN)]
    for child in children:
        child.start()
    for child in children:
        child.join()


KINDS = {
    "blocking": blocking,
    "parent too": parent_too,
    "asyncio": asyncio_children,
    "uvloop": uvloop_children,
    "tornado": tornado_processes,
    "socketserver": socketserver_children,
    "multiprocessing fork": lambda port: multiprocessing_children(port, "fork"),
    "multiprocessing spawn": lambda port: multiprocessing_children(port, "spawn"),
}

OTHERS = {"forking": forking_server}

if __name__ == "__main__":
    (KINDS | OTHERS)[sys.argv[1]](int(sys.argv[2]))
