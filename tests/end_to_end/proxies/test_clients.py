"""What an application learns of its clients behind a proxy, and they of it."""

import http.client
import json
import os
import socket
import ssl
import struct
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.end_to_end.proxies.conftest import ProxySite
from tests.harness.server import PATIENCE, Answer, exchange

CLIENT = "127.0.0.2"  # an address that is not the proxy's
SPOOFED = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Proto": "gopher",
    "Forwarded": "for=192.0.2.2;proto=https",
}
MIB = 1 << 20
GIB = 1 << 30
SHOWN = {
    "wsgi": ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST"),
    "asgi": ("client", "scheme", "host"),
}


def ask(site: ProxySite, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """One request from CLIENT."""
    host, _, port = site.front.address.partition(":")
    connection = http.client.HTTPConnection(
        host, int(port), timeout=PATIENCE, source_address=(CLIENT, 0)
    )
    try:
        return exchange(connection, method, path, body, headers)
    finally:
        connection.close()


def seen(site: ProxySite, answer: Answer) -> dict[str, str]:
    """Client, scheme and host in what /show or /scope answered."""
    if site.interface == "wsgi":
        environ = dict(line.split("=", 1) for line in answer.body.decode().splitlines())
        values = [environ[name] for name in SHOWN["wsgi"]]
    else:
        scope = json.loads(answer.body)
        hosts = [value for name, value in scope["headers"] if name == "b'host'"]
        values = [scope["client"][0], scope["scheme"], hosts[0][2:-1]]
    return dict(zip(SHOWN["asgi"], values, strict=True))


def shower(site: ProxySite) -> str:
    return "/show" if site.interface == "wsgi" else "/scope"


def test_address_and_scheme_are_the_clients_whatever_it_says(site: ProxySite) -> None:
    answer = ask(site, "GET", shower(site), **SPOOFED)
    found = seen(site, answer)
    assert (found["client"], found["scheme"]) == (CLIENT, "http")
    assert found["host"].partition(":")[0] == "127.0.0.1"


def test_the_scheme_is_https_where_the_proxy_speaks_tls(site: ProxySite) -> None:
    host, _, port = site.front.secure.partition(":")
    trusting = ssl.create_default_context(cafile=str(site.directory / "front.pem"))
    connection = http.client.HTTPSConnection(
        host, int(port), timeout=PATIENCE, source_address=(CLIENT, 0), context=trusting
    )
    try:
        found = seen(site, exchange(connection, "GET", shower(site)))
    finally:
        connection.close()
    assert (found["client"], found["scheme"]) == (CLIENT, "https")


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a_large_upload(site: ProxySite, framing: str) -> None:
    block = os.urandom(MIB)

    def pieces() -> Iterator[bytes]:
        for _ in range(16):
            yield block

    body = block * 16 if framing == "content-length" else pieces()
    if site.interface == "wsgi":
        assert ask(site, "POST", "/echo", body).body == block * 16
    else:
        ask(site, "GET", "/open/reads-late")
        assert ask(site, "POST", "/reads-late", body).body == b"%d" % (16 * MIB)


def test_too_large_an_upload_is_refused(site: ProxySite) -> None:
    """By the proxy already: the length alone says it."""
    if site.front.kind == "caddy":
        pytest.skip("Caddy counts what comes")
    host, _, port = site.front.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        head = f"POST /echo HTTP/1.1\r\nHost: {site.front.address}\r\nContent-Length: {GIB + 1}"
        client.sendall(head.encode() + b"\r\n\r\n" + bytes(8192))
        assert client.recv(12) == b"HTTP/1.1 413"


def test_an_application_is_told_that_its_client_has_gone(site: ProxySite) -> None:
    """In the middle of a response; for ASGI before it, too, if the proxy says so by then."""
    early = site.interface == "asgi" and site.front.kind != "haproxy"
    within = "/endless" if site.interface == "wsgi" else "/streams-watching"
    for path in (within, "/watches") if early else (within,):
        host, _, port = site.front.address.partition(":")
        name = path[1:]
        count = told(site).get(name, 0)
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: {site.front.address}\r\n\r\n".encode())
            if path == within:
                assert client.recv(12) == b"HTTP/1.1 200"
            else:
                site.server.until(lambda: told(site).get("watches") == "waiting", "it watches")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wanted = "http.disconnect" if site.interface == "asgi" else count + 1
        site.server.until(lambda: told(site).get(name) == wanted, f"{name} is told")  # noqa: B023


def told(site: ProxySite) -> dict[str, object]:
    """What the applications have noted; for WSGI how often each was closed."""
    if site.interface == "asgi":
        return dict(json.loads(site.server.get("/notes").body))
    names = site.server.get("/closed").body.decode().split()
    return {name: names.count(name) for name in names}


def test_websocket(site: ProxySite) -> None:
    if site.interface == "wsgi":
        pytest.skip("WSGI has none")
    url = f"ws://{site.front.address}"
    with connect(f"{url}/ws", max_size=None, open_timeout=PATIENCE) as ws:
        for message in ("text", bytes(MIB)):
            ws.send(message)
            assert ws.recv(PATIENCE) == message
    with connect(f"{url}/ws/4001") as ws, pytest.raises(ConnectionClosed) as closed:
        ws.recv(PATIENCE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001
    with pytest.raises(InvalidStatus) as rejected, connect(f"{url}/no"):
        pass
    assert rejected.value.response.status_code == 403
