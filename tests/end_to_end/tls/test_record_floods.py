"""TLS records without content: many of them cost other clients nothing, and their client is cut."""

import random
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pyfork.net.tls.records import RecordCounter
from tests.end_to_end.tls.authority import Authority
from tests.end_to_end.tls.raw_records import HANDSHAKE, RawTlsClient
from tests.harness.client import Wire, request
from tests.harness.server import Server

MIB = 1 << 20
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HELLO = b"\x01\0\0\0"  # the head of a ClientHello: OpenSSL answers "no renegotiation" to it alone

Site = tuple[Server, Authority]


KINDS = {
    "uvloop": ("--loop", "uvloop"),
    "asyncio": ("--loop", "asyncio"),
    "uvicorn": ("-k", "uvicorn", "--loop", "uvloop"),
    "uvicorn-asyncio": ("-k", "uvicorn", "--loop", "asyncio"),
}


@pytest.fixture(scope="module", params=KINDS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    authority = Authority(directory)
    options = (*KINDS[request.param], *authority.options())
    with Server("tests.apps.plain:asgi", *options, directory=directory) as server:
        yield server, authority


def client(site: Site, directory: Path, version: ssl.TLSVersion = V13) -> RawTlsClient:
    server, authority = site
    return RawTlsClient(server.port, authority.client(), directory / "keys", version=version)


def is_cut(client: RawTlsClient) -> bool:
    """Whether the server ends the connection."""
    with suppress(ConnectionError):
        while client.socket.recv(MIB):
            pass
    return True


def longest_wait(wire: Wire, seconds: float) -> float:
    """Of a client that asks again and again, in seconds."""
    waits = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert wire.get("/").status == 200
        waits.append(time.monotonic() - began)
    return max(waits)


@pytest.mark.parametrize(
    "flood", ["key updates", "requested key updates", "renegotiation", "empty"]
)
def test_a_flood_costs_its_client_the_connection(site: Site, tmp_path: Path, flood: str) -> None:
    """In processor time: 5,000 KeyUpdates took 150 ms of one core."""
    server, authority = site
    (worker,) = server.workers()
    with (
        client(site, tmp_path, V12 if flood == "renegotiation" else V13) as hostile,
        Wire(server.port, tls=authority.client()) as wire,
    ):
        hostile.socket.sendall(hostile.record(request("GET", "/")))
        assert hostile.socket.recv(MIB)
        if flood == "renegotiation":
            records = [hostile.record(HELLO, HANDSHAKE) for _ in range(5000)]
        elif flood == "empty":
            records = [hostile.record(b"") for _ in range(5000)]
        else:
            asked = flood.startswith("requested")
            records = [hostile.key_update(requested=asked) for _ in range(5000)]
        before = sum(worker.cpu_times()[:2])
        with suppress(ConnectionError):
            hostile.socket.sendall(b"".join(records))
        assert is_cut(hostile)
        assert wire.get("/").status == 200
        assert sum(worker.cpu_times()[:2]) - before <= 0.05


def test_key_updates_between_content_have_their_turns(site: Site, tmp_path: Path) -> None:
    """30 for each byte, of which 6,000 took 200 ms at once: no other client waits for them."""
    server, authority = site
    if server.directory.name.startswith("uvicorn"):
        pytest.skip("a loop's transport decrypts all of a read in one turn")
    waits = []
    while len(waits) < 3 and not (waits and waits[-1] < 0.1):  # the machine may be busy
        (directory := tmp_path / str(len(waits))).mkdir()
        with client(site, directory) as hostile, Wire(server.port, tls=authority.client()) as wire:
            hostile.socket.sendall(slow_upload(hostile))
            waits.append(longest_wait(wire, 0.5))
            hostile.socket.settimeout(20)
            assert hostile.socket.recv(MIB)
    assert waits[-1] < 0.1  # 2 ms on an idle machine


def slow_upload(hostile: RawTlsClient) -> bytes:
    """A request with 200 bytes, 30 KeyUpdates before each."""
    records = [hostile.record(request("POST", "/slow", "Content-Length: 200"))]
    for _ in range(200):
        records += [hostile.key_update(requested=False) for _ in range(30)]
        records.append(hostile.record(b"x"))
    return b"".join(records)


def test_answers_that_nobody_reads(site: Site, tmp_path: Path) -> None:
    """Each ClientHello gets one: what waits for the client is bounded, and then it is cut."""
    server, _ = site
    if server.directory.name.startswith("uvicorn"):
        pytest.skip("a loop's transport keeps what its client does not read")
    (worker,) = server.workers()
    before = worker.memory_info().rss
    with client(site, tmp_path, V12) as hostile:
        hostile.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        hostile.socket.sendall(hostile.record(request("POST", "/", "Content-Length: 999999")))
        # It is cut; or, if the system keeps the answers, nothing more is read from it.
        with pytest.raises((ConnectionError, TimeoutError)):
            ask_again_and_again(hostile)
    assert worker.memory_info().rss - before < 4 * MIB


def ask_again_and_again(hostile: RawTlsClient) -> None:
    """For a renegotiation; now and then a byte of content."""
    for number in range(600_000):  # more answers than the system keeps for a connection
        is_content = number % 30 == 0
        record = hostile.record(b"x") if is_content else hostile.record(HELLO, HANDSHAKE)
        hostile.socket.sendall(record)


def test_small_records_are_read(site: Site) -> None:
    """A client may send each byte in a record of its own."""
    server, authority = site
    with Wire(server.port, tls=authority.client()) as wire:
        for byte in request("POST", "/", body=b"0123456789" * 100):
            wire.send(bytes((byte,)))
        assert wire.read().body == b"0123456789" * 100


def test_records_are_found_in_any_pieces() -> None:
    random.seed(1)
    sizes = [0, 1, 5, 300, 16_384, 0, 0, 70, 2]
    stream = b"".join(b"\x17\x03\x03" + size.to_bytes(2) + bytes(size) for size in sizes)
    ends = [sum(5 + size for size in sizes[: count + 1]) for count in range(len(sizes))]
    for most in (1, 2, 64):
        for longest in (1, 4, 7, 6000, len(stream)):
            counter, at, found = RecordCounter(), 0, 0
            while at < len(stream):
                piece = stream[at : at + random.randint(1, longest)]
                taken, count = counter.advance(piece, most)
                at += taken
                found += count
                assert count <= most
                assert taken == len(piece) or at in ends
            assert found == len(sizes)
