"""Before the first request: versions, names, clients' certificates, and who never gets so far."""

import json
import socket
import ssl
from pathlib import Path

import pytest

from tests.end_to_end.tls.authority import Authority, connected, get, shown
from tests.harness.server import PATIENCE, Server

APP = "tests.apps.secure:wsgi"


def test_versions_and_protocols(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Server(APP, *authority.options(), directory=tmp_path) as server:
        old = authority.client()
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")  # or the client would not even ask
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"), connected(server, old):
            pass
        client = authority.client()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_alpn_protocols(["h2", "http/1.1"])
        with connected(server, client) as connection:
            assert connection.sock.version() == "TLSv1.2"
            assert connection.sock.selected_alpn_protocol() == "http/1.1"
            assert connection.sock.compression() is None


def test_ciphers_have_forward_secrecy_and_authenticate(tmp_path: Path) -> None:
    """RFC 9325 4.2, for TLS 1.2; --ciphers has others."""
    authority = Authority(tmp_path)
    client = authority.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ALL:@SECLEVEL=0")
    refused = [
        "AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-SHA384",
        "ECDHE-ECDSA-AES128-SHA",
        "AES128-SHA",
    ]
    taken = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    with Server(APP, *authority.options(), directory=tmp_path) as server:
        for name in [*refused, *taken]:
            client.set_ciphers(f"{name}:@SECLEVEL=0")
            if name in refused:
                with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
                    get(server, client)
            else:
                with connected(server, client) as connection:
                    assert connection.sock.cipher()[0] == name


def test_ciphers_that_are_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = [*authority.options(), "--ciphers", "ECDHE-ECDSA-AES128-SHA"]
    client = authority.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ALL")
    with (
        Server(APP, *options, directory=tmp_path) as server,
        connected(server, client) as connection,
    ):
        assert connection.sock.cipher()[0] == "ECDHE-ECDSA-AES128-SHA"


def test_the_lowest_version_can_be_raised(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = [*authority.options(), "--tls-min", "1.3"]
    with Server(APP, *options, directory=tmp_path) as server:
        client = authority.client()
        assert get(server, client).status == 200
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"), connected(server, client):
            pass


@pytest.mark.parametrize("kind", ["sync", "uvicorn"])
def test_each_name_has_its_certificate(tmp_path: Path, kind: str) -> None:
    """The client checks the name. Who asks for an unknown one sees the first."""
    authority = Authority(tmp_path)
    options = [
        *authority.options("a.test", "*.a.test", file="a"),
        *authority.options("b.test", file="b"),
    ]
    app = "tests.apps.secure:asgi" if kind == "uvicorn" else APP
    with Server(app, "-k", kind, *options, directory=tmp_path) as server:
        client = authority.client()
        first = shown(server, client, "a.test")
        assert shown(server, client, "www.a.test") == first
        assert shown(server, client, "b.test") != first
        client.check_hostname = False
        assert shown(server, client, "c.test") == first
        assert shown(server, client, "two.labels.a.test") == first


@pytest.mark.parametrize("required", [False, True])
def test_certificates_of_clients(tmp_path: Path, required: bool) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path / "..")
    asked = "required" if required else "optional"
    options = [*authority.options(), "--ca-certs", str(authority.file), "--cert-reqs", asked]
    known = authority.issue("jane@a.test", file="jane", common_name="Jane, Doe")
    unknown = stranger.issue("joe@a.test", file="joe")
    with Server(APP, *options, directory=tmp_path) as server:
        told = json.loads(get(server, authority.client(known)).body)
        assert told["SSL_CLIENT_VERIFY"] == "SUCCESS"
        assert told["SSL_CLIENT_S_DN"].startswith("CN=Jane\\, Doe,")
        assert told["SSL_CLIENT_CERT"].startswith("-----BEGIN CERTIFICATE-----")
        with pytest.raises(OSError):  # noqa: PT011 - an alert, or a reset if that is quicker
            get(server, authority.client(unknown))
        if required:
            with pytest.raises(OSError):  # noqa: PT011
                get(server, authority.client())
        else:
            told = json.loads(get(server, authority.client()).body)
            assert told["SSL_CLIENT_VERIFY"] == "NONE"
            assert "SSL_CLIENT_S_DN" not in told


@pytest.mark.parametrize("kind", ["sync", "uvicorn"])
def test_a_session_is_resumed_at_any_worker(tmp_path: Path, kind: str) -> None:
    authority = Authority(tmp_path)
    options = [*authority.options(), "-w", "2", "-k", kind]
    options += ["--dispatch", "round-robin"] if kind == "sync" else []
    app = "tests.apps.secure:asgi" if kind == "uvicorn" else APP
    with Server(app, *options, directory=tmp_path) as server:
        client = authority.client()
        client.maximum_version = ssl.TLSVersion.TLSv1_2  # whose session is there at once
        session = None
        for count in range(4):
            with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as raw:
                sock = client.wrap_socket(raw, server_hostname="127.0.0.1", session=session)
                assert sock.session_reused == (count > 0)
                session = sock.session
                sock.close()


KINDS = {
    "sync": (),
    "asgi": (),
    "uvicorn": ("--loop", "uvloop"),
    "uvicorn-asyncio": ("--loop", "asyncio"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_is_not_resumed_under_another_name(tmp_path: Path, kind: str) -> None:
    """RFC 6066 3: the server goes on with a whole handshake. TLS 1.3 has no such rule."""
    authority = Authority(tmp_path)
    options = [*authority.options("a.test", "b.test", file="a"), *authority.options("c.test")]
    app = APP if kind == "sync" else "tests.apps.secure:asgi"
    options += ["-k", kind.partition("-")[0], *KINDS[kind]]
    with Server(app, *options, directory=tmp_path) as server:
        client = authority.client()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        sessions: dict[str, ssl.SSLSession] = {}
        for name, of, reused in [
            ("a.test", "", False),
            ("a.test", "a.test", True),
            ("A.test", "a.test", True),
            ("b.test", "a.test", False),
            ("c.test", "a.test", False),
            ("a.test", "c.test", False),
            ("a.test", "a.test", True),
        ]:
            with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as raw:
                given = sessions.get(of)
                sock = client.wrap_socket(raw, server_hostname=name, session=given)
                assert sock.session_reused == reused, (name, of)
                names = {each[1] for each in sock.getpeercert()["subjectAltName"]}
                assert name.lower() in names
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert sock.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
                sessions.setdefault(name, sock.session)
                sock.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_protocols_that_nobody_speaks_here(
    tmp_path: Path, newest: ssl.TLSVersion, kind: str
) -> None:
    """RFC 7301 3.2."""
    authority = Authority(tmp_path)
    app = APP if kind == "sync" else "tests.apps.secure:asgi"
    options = (*authority.options(), "-k", kind.partition("-")[0], *KINDS[kind])
    with Server(app, *options, directory=tmp_path) as server:
        for offered, chosen in [
            (["h2"], None),
            (["h2", "x" * 200, "spdy/3"], None),
            (["h2", "http/1.1"], "http/1.1"),
            ([], None),
        ]:
            client = authority.client()
            client.maximum_version = newest
            client.set_alpn_protocols(offered)
            if offered and not chosen:
                # The loops end a handshake without the alert.
                why = "EOF" if kind.startswith("uvicorn") else "no application protocol"
                with pytest.raises((ssl.SSLError, ConnectionError), match=why):
                    get(server, client)
                continue
            with connected(server, client) as connection:
                assert connection.sock.selected_alpn_protocol() == chosen


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_plain_http_gets_an_answer(tmp_path: Path, loop: str) -> None:
    authority = Authority(tmp_path)
    with (
        Server(APP, "--loop", loop, *authority.options(), directory=tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"https://" in answer


def test_plain_head_gets_no_content(tmp_path: Path) -> None:
    with (
        Server(APP, *Authority(tmp_path).options(), directory=tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client,
    ):
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "a part"])
def test_a_handshake_has_its_time(tmp_path: Path, sent: bytes) -> None:
    """It counts as a connection meanwhile, and its end makes room for another."""
    authority = Authority(tmp_path)
    options = [*authority.options(), "--header-timeout", "1", "--worker-connections", "1"]
    with (
        Server(APP, *options, directory=tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client,
    ):
        client.sendall(sent)
        assert client.recv(1) == b""
        assert get(server, authority.client()).status == 200


def test_what_is_no_handshake_ends(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = [*authority.options(), "--header-timeout", "1"]
    with Server(APP, *options, directory=tmp_path) as server:
        for junk in (b"\x16\x03\x01\x00\x05junk!", b"\x80\x2e\x01\x00\x02", b"\0" * 100):
            with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
                client.sendall(junk)
                with client.makefile("rb") as stream:
                    stream.read()
        assert get(server, authority.client()).status == 200
