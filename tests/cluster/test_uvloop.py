"""uvloop binds in C: what is put in the place of that gives the same to the script."""

import importlib.util
import signal
import socket
from pathlib import Path

import pytest

from tests.harness.ports import free_port
from tests.harness.script import Script, ask, converse

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"
)

START = """
import asyncio, os, sys, uvloop
async def answer(reader, writer):
    if await reader.readline():
        writer.write(b"HTTP/1.0 200 OK\\r\\n\\r\\n%d\\n" % os.getpid())
    writer.close()
"""


def run(text: str, directory: Path, *args: str) -> Script:
    (directory / "server.py").write_text(START + text + "\nuvloop.run(main())\n")
    return Script("server.py", *args, directory=directory)


def test_several_hosts_and_a_late_start(tmp_path: Path) -> None:
    port = free_port()
    text = """
async def main():
    hosts = ["127.0.0.1", "127.0.0.2"]
    server = await asyncio.start_server(answer, hosts, int(sys.argv[1]), start_serving=False)
    print(len(server.sockets), server.is_serving(), flush=True)
    async with server:
        await server.serve_forever()
"""
    with run(text, tmp_path, str(port)) as running:
        assert running.out == "2 False\n" * 3
        assert {ask(port), ask(port, "127.0.0.2")} <= running.pids()


def test_a_path(tmp_path: Path) -> None:
    text = """
async def main():
    server = await asyncio.start_unix_server(answer, "own.sock")
    async with server:
        await server.serve_forever()
"""

    def answerer() -> int:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "own.sock"))
            return converse(client)

    with run(text, tmp_path) as running:
        assert answerer() in running.pids()
        running.signal(signal.SIGHUP)
        running.wait_ready(2)
        running.wait_left(1)
        assert answerer() in running.pids()
    assert not (tmp_path / "own.sock").exists()


def test_datagrams(tmp_path: Path) -> None:
    port = free_port(kind=socket.SOCK_DGRAM)
    text = """
class Protocol(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, address):
        self.transport.sendto(b"%d" % os.getpid(), address)
async def main():
    loop = asyncio.get_running_loop()
    address = ("127.0.0.1", int(sys.argv[1]))
    await loop.create_datagram_endpoint(Protocol, local_addr=address)
    await asyncio.Event().wait()
"""
    with (
        run(text, tmp_path, str(port)) as running,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(5)
        client.sendto(b"?", ("127.0.0.1", port))
        assert int(client.recv(100)) in running.pids()
