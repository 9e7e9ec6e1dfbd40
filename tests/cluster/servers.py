"""Servers as their manuals write them. ``python servers.py KIND PORT`` runs one, on its own too.

Each answers every request with the number of its process. None knows of pyfork.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable

TEXT = f"{os.getpid()}\n".encode()
RESPONSE = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(TEXT), TEXT)
HOST = "127.0.0.1"


def http_server(port: int, threads: bool = False) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(TEXT)))
            self.end_headers()
            self.wfile.write(TEXT)

        def log_message(self, *args: object) -> None:
            pass

    kind = ThreadingHTTPServer if threads else HTTPServer
    with kind((HOST, port), Handler) as server:
        print("port", server.server_address[1], flush=True)
        server.serve_forever()


def http_server_threads(port: int) -> None:
    http_server(port, threads=True)


def socketserver_tcp(port: int) -> None:
    import socketserver

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(RESPONSE)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True

    with Server((HOST, port), Handler) as server:
        server.serve_forever()


def wsgiref_simple(port: int) -> None:
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with make_server(HOST, port, wsgi, handler_class=Quiet) as server:
        server.serve_forever()


def wsgi(environ: object, start_response: Callable[..., object]) -> list[bytes]:
    start_response("200 OK", [("Content-Length", str(len(TEXT)))])
    return [TEXT]


def plain_socket(port: int) -> None:
    with socket.create_server((HOST, port), reuse_port=True) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                if connection.recv(1000):
                    connection.sendall(RESPONSE)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.readline():
        writer.write(RESPONSE)
    writer.close()


async def start_server(port: int) -> None:
    server = await asyncio.start_server(answer, HOST, port)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def asyncio_streams(port: int) -> None:
    asyncio.run(start_server(port))


def uvloop_streams(port: int) -> None:
    import uvloop

    uvloop.run(start_server(port))


def uvicorn_run(port: int, loop: str = "asyncio") -> None:
    import uvicorn

    uvicorn.run(asgi, host=HOST, port=port, log_level="warning", loop=loop)  # type: ignore[arg-type]


def uvicorn_uvloop(port: int) -> None:
    uvicorn_run(port, loop="uvloop")


async def asgi(scope: dict[str, object], receive: object, send: Callable[..., object]) -> None:
    if scope["type"] != "http":
        return
    length = str(len(TEXT)).encode()
    await send(  # type: ignore[misc]
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": TEXT})  # type: ignore[misc]


def aiohttp_web(port: int) -> None:
    from aiohttp import web

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=TEXT)

    app = web.Application()
    app.add_routes([web.get("/", handle)])
    web.run_app(app, host=HOST, port=port, print=None)


def flask_development(port: int) -> None:
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: TEXT.decode())
    app.run(host=HOST, port=port)


def django_development(port: int) -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command
    from django.http import HttpResponse
    from django.urls import path

    settings.configure(
        DEBUG=True, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", DATABASES={}
    )
    globals()["urlpatterns"] = [path("", lambda request: HttpResponse(TEXT))]
    django.setup()
    call_command("runserver", f"{HOST}:{port}", "--noreload", "--skip-checks")


def tornado_web(port: int) -> None:
    import tornado.web

    class Handler(tornado.web.RequestHandler):
        def get(self) -> None:
            self.write(TEXT)

    async def main() -> None:
        tornado.web.Application([("/", Handler)]).listen(port, HOST)
        await asyncio.Event().wait()

    asyncio.run(main())


def gevent_stream(port: int) -> None:
    from gevent.server import StreamServer

    def handle(connection: socket.socket, address: object) -> None:
        if connection.recv(1000):
            connection.sendall(RESPONSE)
        connection.close()

    StreamServer((HOST, port), handle).serve_forever()


def gevent_patched(port: int) -> None:
    from gevent import monkey

    monkey.patch_all()
    socketserver_tcp(port)


def datagram(port: int) -> None:
    class Protocol(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: object) -> None:
            self.transport.sendto(TEXT, address)  # type: ignore[attr-defined]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(Protocol, local_addr=(HOST, port))
        await asyncio.Event().wait()

    asyncio.run(main())


KINDS: dict[str, tuple[Callable[[int], None], str]] = {
    "http.server": (http_server, ""),
    "http.server threads": (http_server_threads, ""),
    "socketserver": (socketserver_tcp, ""),
    "wsgiref": (wsgiref_simple, ""),
    "socket": (plain_socket, ""),
    "asyncio": (asyncio_streams, ""),
    "uvloop": (uvloop_streams, "uvloop"),
    "uvicorn": (uvicorn_run, "uvicorn"),
    "uvicorn uvloop": (uvicorn_uvloop, "uvloop"),
    "aiohttp": (aiohttp_web, "aiohttp"),
    "flask": (flask_development, "flask"),
    "django": (django_development, "django"),
    "tornado": (tornado_web, "tornado"),
    "gevent": (gevent_stream, "gevent"),
    "gevent patched": (gevent_patched, "gevent"),
}
"""Name -> function, and the package that it needs."""


if __name__ == "__main__":
    name, number = sys.argv[1:]
    run = datagram if name == "datagram" else KINDS[name][0]
    run(int(number))
