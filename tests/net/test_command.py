"""The port as the real command has it: taken, shared by two addresses, inherited."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.harness.server import ROOT, Server

APP = "tests.apps.wsgi:app"


def test_taken_port_is_told_with_its_holder_and_status_4(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as held:
        address = f"127.0.0.1:{held.getsockname()[1]}"
        command = [sys.executable, "-m", "pyfork", APP, "-b", address]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 4
    assert f"cannot listen on {address}: the address is in use by pid {os.getpid()} " in done.stderr
    assert "that is every interface, and 127.0.0.1 is one" in done.stderr
    assert "Traceback" not in done.stderr


def test_several_addresses_with_one_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = tmp_path / "a.sock"
    addresses = [f"127.0.0.1:{port}", f"127.0.0.2:{port}", f"[::1]:{port}", f"unix:{path}"]
    options = [word for address in addresses for word in ("-b", address)]
    with Server(APP, "-w", "2", *options, directory=tmp_path) as server:
        assert server.urls == [*(f"http://{address}" for address in addresses[:3]), addresses[3]]
        for where in (("127.0.0.1", port), ("127.0.0.2", port), ("::1", port), str(path)):
            assert hello(where).endswith(b"hello from wsgi")
    assert not path.exists()


def test_whole_tree_shares_one_listening_socket(tmp_path: Path) -> None:
    with Server(APP, "-w", "3", directory=tmp_path) as server:
        arbiter = psutil.Process(server.pid)
        inodes = [listening(process.pid, server.port) for process in (arbiter, *server.workers())]
    assert len(inodes) == 4
    assert len(set(inodes)) == 1


@pytest.mark.parametrize("taken", [True, False])
def test_inherited_listener(tmp_path: Path, taken: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        fd, port = given.fileno(), given.getsockname()[1]
        command = [sys.executable, "-m", "pyfork", APP, "-b", f"fd://{fd}"]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[fd] if taken else [],
        ) as process:
            assert process.stderr is not None
            if taken:
                try:
                    assert hello(given.getsockname()).endswith(b"hello from wsgi")
                finally:
                    process.terminate()
            log = process.stderr.read()
    assert process.returncode == (0 if taken else 4)
    assert (f"on http://127.0.0.1:{port} with" if taken else "is not open") in log


def listening(pid: int, port: int) -> str:
    """The inode of the process's one listening socket on ``port``."""
    tcp = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    on_port = {each[9] for each in tcp if each[3] == "0A" and each[1].endswith(f":{port:04X}")}
    links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    found = [link for link in links if link.removeprefix("socket:[").rstrip("]") in on_port]
    assert len(found) == 1
    return found[0]


def hello(where: tuple[str, int] | str) -> bytes:
    """What GET / answers there."""
    family = socket.AF_UNIX
    if not isinstance(where, str):
        family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(15)
        client.connect(where)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b""
        while data := client.recv(65536):
            received += data
    return received
