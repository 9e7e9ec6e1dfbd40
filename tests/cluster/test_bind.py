"""bind() in a script: what it gives, what it refuses, and what it leaves alone."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.harness.ports import free_port
from tests.harness.script import Script, ask, converse

SERVE = """
import os, socket, threading
TEXT = f"{os.getpid()}\\n".encode()
def serve(listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            if connection.recv(1000):
                connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + TEXT)
def start(listener):
    listener.listen()
    threading.Thread(target=serve, args=(listener,)).start()
"""


def write(directory: Path, text: str) -> str:
    (directory / "server.py").write_text(SERVE + text)
    return "server.py"


def test_port_0_is_the_same_port_for_all(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        """
for _ in range(2):
    client = socket.socket()
    client.bind(("127.0.0.1", 0))
    client.close()
for _ in range(2):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print("port", listener.getsockname()[1], flush=True)
    start(listener)
""",
    )
    with Script(script, directory=tmp_path) as running:
        running.until(lambda: running.out.count("port") == 6, "all have told their ports")
        ports = {int(line.split()[1]) for line in running.out.splitlines()}
        assert len(ports) == 2
        for port in ports:
            assert ask(port) in running.pids()
        running.signal(signal.SIGHUP)
        running.wait_ready(2)
        running.until(lambda: running.out.count("port") == 12, "the new ones have told theirs")
        assert {int(line.split()[1]) for line in running.out.splitlines()} == ports


def test_several_ports_families_and_a_path(tmp_path: Path) -> None:
    ports = free_port(), free_port("::1")
    script = write(
        tmp_path,
        """
import sys
start(socket.create_server(("127.0.0.1", int(sys.argv[1]))))
start(socket.create_server(("::1", int(sys.argv[2])), family=socket.AF_INET6))
if os.path.exists("own.sock"):
    os.unlink("own.sock")
listener = socket.socket(socket.AF_UNIX)
listener.bind("own.sock")
try:
    start(listener)
    signal = __import__("signal").pause()
finally:
    os.unlink("own.sock")
""",
    )
    path = tmp_path / "own.sock"

    def answers() -> set[int]:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            return {ask(ports[0]), ask(ports[1], "::1"), converse(client)}

    with Script(script, *map(str, ports), directory=tmp_path) as running:
        running.wait_log("own.sock")
        assert answers() <= running.pids()
        inode = path.stat().st_ino
        running.signal(signal.SIGHUP)
        running.wait_ready(2)
        running.wait_left(1)
        assert path.stat().st_ino == inode
        assert answers() <= running.pids()
    assert not path.exists()


def test_the_holder_of_an_address_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        script = write(tmp_path, f'start(socket.create_server(("127.0.0.1", {port})))')
        with Script(script, directory=tmp_path, ready=False) as running:
            assert running.wait() == 3
            assert "server.py:13: OSError: [Errno 98] Address already in use" in running.log
            assert f"127.0.0.1:{port}: the address is in use by pid" in running.log
            assert sys.executable.rpartition("/")[2] in running.log


def test_errors_are_those_of_bind(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        """
def attempt(address, family=socket.AF_INET):
    try:
        socket.socket(family).bind(address)
    except Exception as error:
        print(repr(error), flush=True)
attempt(("192.0.2.1", 0))
attempt(("192.0.2.1", 8000))
attempt(("nowhere.invalid", 8000))
attempt("/nowhere/at/all", socket.AF_UNIX)
attempt("x" * 200, socket.AF_UNIX)
attempt(7)
attempt(("127.0.0.1", 70000))
first = socket.create_server(("127.0.0.1", 0))
attempt(first.getsockname())
first.close()
start(socket.create_server(("127.0.0.1", 0)))
""",
    )
    with Script(script, workers=1, directory=tmp_path) as running:
        lines = running.until(
            lambda: running.out.count("\n") == 8 and running.out.splitlines(), "it has tried"
        )
        starts = [line.partition("(")[0] for line in lines]
        assert starts == [
            *("OSError", "OSError", "gaierror", "FileNotFoundError", "OSError", "TypeError"),
            *("OverflowError", "OSError"),
        ]
        assert "Cannot assign requested address" in lines[1]
        assert "AF_UNIX path too long" in lines[4]
        assert "Address already in use" in lines[7]


@pytest.mark.parametrize("reuse", ["REUSEADDR", "REUSEADDR REUSEPORT"])
def test_two_datagram_sockets_of_one_port(reuse: str, tmp_path: Path) -> None:
    """mDNS and SSDP have several, and each hears what is sent to all."""
    group, port = "239.255.41.7", free_port(kind=socket.SOCK_DGRAM)
    script = write(
        tmp_path,
        f"""
import sys
def member():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in {reuse.split()}:
        made.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_" + option), 1)
    made.bind(("", {port}))
    joining = socket.inet_aton("{group}") + socket.inet_aton("127.0.0.1")
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joining)
    return made
def hear(made, number):
    while True:
        print("heard", number, made.recv(100), flush=True)
for number, made in enumerate([member(), member()]):
    threading.Thread(target=hear, args=(made, number)).start()
""",
    )
    with (
        Script(script, workers=2, directory=tmp_path) as running,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        here = socket.inet_aton("127.0.0.1")
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
        sender.sendto(b"all", (group, port))
        running.until(lambda: running.out.count("heard") == 2, "both hear it")
        assert sorted(running.out.splitlines()) == ["heard 0 b'all'", "heard 1 b'all'"]


def test_a_client_may_bind_before_it_connects(tmp_path: Path) -> None:
    port, own = free_port(), free_port()
    script = write(
        tmp_path,
        f"""
start(socket.create_server(("127.0.0.1", {port})))
for source in (0, {own}):
    with socket.create_connection(("127.0.0.1", {port}), 5, ("127.0.0.1", source)) as client:
        print("from", client.getsockname()[1], "to", client.getpeername()[1], flush=True)
""",
    )
    with Script(script, workers=1, directory=tmp_path) as running:
        lines = running.until(
            lambda: running.out.count("\n") == 2 and running.out.splitlines(), "it connected"
        )
        assert lines[1] == f"from {own} to {port}"


def test_exclusive_sockets_are_not_shared(tmp_path: Path) -> None:
    ports = free_port(), free_port()
    script = write(
        tmp_path,
        f"""
from pyfork.cluster import exclusive
def attempt(port):
    try:
        start(socket.create_server(("127.0.0.1", port)))
        print("had", port, flush=True)
    except OSError as error:
        print("in use", port, flush=True)
with exclusive():
    attempt({ports[0]})
attempt({ports[1]})
start(socket.create_server(("127.0.0.1", 0)))
""",
    )
    options = ["--exclusive", str(ports[1])]
    with Script(script, workers=2, options=options, directory=tmp_path) as running:
        running.until(lambda: len(running.out.splitlines()) == 4, "both have tried")
        said = sorted(running.out.splitlines())
        assert said == sorted(f"{what} {port}" for what in ("had", "in use") for port in ports)


def test_a_port_that_was_only_tried_is_free_again(tmp_path: Path) -> None:
    tried = free_port()
    script = write(
        tmp_path,
        f"""
probe = socket.socket()
probe.bind(("127.0.0.1", {tried}))
probe.close()
start(socket.create_server(("127.0.0.1", 0)))
""",
    )
    with Script(script, directory=tmp_path):
        socket.create_server(("127.0.0.1", tried)).close()
