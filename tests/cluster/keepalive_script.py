"""A script that keeps its connections, unless asked to close: ``keepalive_script.py KIND PORT``.

GET /            the number of its process, at once
    /block?s=N   after N seconds in which its thread does nothing else
"""

import asyncio
import os
import socket
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PID = str(os.getpid()).encode()
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PID), PID)
CLOSING = RESPONSE.replace(b"OK", b"OK\r\nConnection: close")
HOST = "127.0.0.1"
BACKLOG = 512


def block(target: str) -> None:
    if "=" in target:
        print("blocked", os.getpid(), flush=True)
        time.sleep(float(target.partition("=")[2]))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        await answer(reader, writer)
    writer.close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    response = RESPONSE
    while response is RESPONSE and (line := await reader.readline()):
        if line.startswith(b"GET"):
            block(line.decode().split()[1])
        while (field := await reader.readline()).strip():
            if field.lower() == b"connection: close\r\n":
                response = CLOSING
        writer.write(response)


async def streams(port: int) -> None:
    server = await asyncio.start_server(serve, HOST, port, backlog=BACKLOG)
    async with server:
        await server.serve_forever()


def on_asyncio(port: int) -> None:
    asyncio.run(streams(port))


def on_uvloop(port: int) -> None:
    import uvloop

    uvloop.run(streams(port))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.wfile.write(CLOSING if self.close_connection else RESPONSE)

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = BACKLOG


def threads(port: int) -> None:
    Server((HOST, port), Handler).serve_forever()


def one_by_one(port: int) -> None:
    with socket.create_server((HOST, port), backlog=BACKLOG) as listener:
        while True:
            client, _ = listener.accept()
            with client:
                block(client.recv(1000).decode().split()[1])
                client.sendall(RESPONSE)


if __name__ == "__main__":
    kind = {"asyncio": on_asyncio, "uvloop": on_uvloop, "threads": threads, "plain": one_by_one}
    kind[sys.argv[1]](int(sys.argv[2]))
