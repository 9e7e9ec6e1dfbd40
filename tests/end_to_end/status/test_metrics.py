"""The status server, over real servers: what it counts, what it answers, and to whom."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import h11
import pytest
import trustme
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from pyfork.ctl.processes import control_socket
from tests.harness.ports import free_port
from tests.harness.server import PATIENCE, Answer, Server, exchange
from tests.harness.site import ControlWire

CODES = """
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    status = environ["PATH_INFO"].strip("/") or "200"
    start_response(f"{status} Some", [("Content-Length", str(len(body)))])
    return [body]
"""

BLOCKING = """
import time

async def app(scope, receive, send):
    assert scope["type"] == "http"
    time.sleep(1.5)  # longer than a beat takes to come
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})
"""

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Status:
    """A client of the status server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as each:
            return exchange(each, method, path, headers=headers)

    def values(self) -> Values:
        """Every sample of /metrics, by name and labels, by prometheus-client's own parser."""
        answer = self.get("/metrics")
        assert answer.status == 200
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }


def total(values: Values, name: str, **labels: str) -> float:
    return sum(
        value
        for (each, own), value in values.items()
        if each == name and labels.items() <= dict(own).items()
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "codes.py").write_text(CODES)
    return tmp_path


def serve(site: Path, port: int, *options: str, **more: Any) -> Server:
    return Server(
        "codes:app",
        "--status-bind",
        f"127.0.0.1:{port}",
        *options,
        directory=site,
        cwd=site,
        **more,
    )


def counters(values: Values) -> Iterator[tuple[Any, float]]:
    for key, value in values.items():
        if key[0].endswith(("_total", "_bucket", "_count", "_sum")):
            yield key, value


def test_requests_are_counted_exactly_and_never_backwards(site: Path) -> None:
    """Through restarts of workers, a reload and an upgrade in place."""
    port = free_port()
    options = ("-w", "2", "--upgrade-mode", "exec", "-n", f"counted-{port}")
    with serve(site, port, *options) as server:
        status = Status(port)
        sent, before = 0, status.values()

        def send(times: int) -> None:
            nonlocal sent
            for _ in range(times):
                assert server.request("POST", "/201", b"abc").status == 201
                assert server.get("/404").status == 404
                sent += 1

        def look() -> Values:
            """Counters that were read before have not become smaller."""
            nonlocal before
            try:
                values = status.values()
            except ConnectionError:  # the old status server has gone with the old program
                return before
            now = dict(counters(values))
            smaller = {key for key, value in counters(before) if now.get(key, 0) < value}
            assert not smaller
            before = values
            return values

        for command in ("restart", "reload", "restart", "upgrade", None):
            send(5)
            look()
            if command:
                _run(server, command)
                server.until(lambda: _ready(status), "it is ready again")
            look()
        server.until(lambda: total(look(), "pyfork_requests_total") == 2 * sent, "all are counted")
        values = look()
        counted = {
            key: total(values, "pyfork_requests_total", method=key[0], status=key[1])
            for key in (("POST", "2xx"), ("GET", "4xx"))
        }
        assert set(counted.values()) == {sent}
        assert total(values, "pyfork_request_duration_seconds_count") == 2 * sent
        assert total(values, "pyfork_request_content_bytes_total") == 3 * sent
        assert total(values, "pyfork_response_content_bytes_total") == 3 * sent
        assert total(values, "pyfork_connections_accepted_total") == 2 * sent
        assert total(values, "pyfork_reloads_total", outcome="succeeded") == 1
        assert total(values, "pyfork_upgrades_total", outcome="succeeded") == 1
        assert total(values, "pyfork_worker_ends_total") == 8
        assert 0 < total(values, "pyfork_last_reload_duration_seconds") < PATIENCE
        assert total(values, "pyfork_connections_handed_off_total") == 0
        assert total(values, "pyfork_workers", state="serving") == 2
        text = status.get("/metrics", Accept="application/openmetrics-text;version=1.0.0").body
        assert text.endswith(b"# EOF\n")
        assert {family.name for family in openmetrics.text_string_to_metric_families(text.decode())}


def test_tls_is_counted_and_certificates_have_their_end(site: Path) -> None:
    authority, port = trustme.CA(), free_port()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(site / "cert.pem")
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serve(site, port, "--certfile", "cert.pem") as server:
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as client,
            ):
                client.sendall(b"GET /200 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert client.recv(100)
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while plain.recv(100):
                pass
        values = Status(port).values()
        assert total(values, "pyfork_tls_handshakes_total") == 2
        assert total(values, "pyfork_tls_failures_total") == 1
        name = "pyfork_tls_certificate_expiry_timestamp_seconds"
        assert total(values, name, file="cert.pem") > time.time()


def test_the_lag_of_a_loop_is_seen(site: Path) -> None:
    """Also by `pyfork doctor`, whose check is tested by its facts."""
    (site / "codes.py").write_text(BLOCKING)
    port = free_port()
    with serve(site, port) as server:
        assert server.get("/").status == 200
        name = "pyfork_worker_loop_lag_seconds"
        server.until(lambda: total(Status(port).values(), name, worker="0") > 0.2, "it is late")
        (worker,) = json.loads(Status(port).get("/status").body)["workers"]
        assert (worker["interface"], worker["debug"]) == ("asgi", False)
        assert 0 < worker["boot"] < PATIENCE


def _run(server: Server, command: str) -> None:
    control = control_socket(server.pid)
    assert control
    wire = ControlWire(Path(control))
    try:
        wire.send(command, wait=True)
        while "progress" in (answer := wire.receive()):
            pass
        assert answer["ok"], answer
    finally:
        wire.close()


def _ready(status: Status) -> bool:
    try:
        return status.get("/readyz").status == 200
    except OSError:
        return False


def test_probes_and_pages(site: Path) -> None:
    port = free_port()
    with serve(site, port, "-n", "probed", "--drain-delay", "1") as server:
        status = Status(port)
        assert status.get("/livez").body == b"the arbiter answers\n"
        assert status.get("/readyz").body == b"ready\n"
        page = json.loads(status.get("/status").body)
        assert (page["name"], page["pid"]) == ("probed", server.pid)
        assert status.get("/nothing").status == 404
        assert status.get("/status", "POST").status == 405
        assert status.get("/status", "HEAD").body == b""
        assert status.get("/status", Host="evil.example").status == 403
        assert status.get("/livez", Host="evil.example").status == 200
        # The process dies: another one takes its place, and the address stays.
        (old,) = (each for each in server.workers() if "status" in each.name())
        old.kill()
        server.until(lambda: _ready(status), "another status server answers")
        server.signal(15)
        server.until(lambda: status.get("/readyz").status == 503, "it is not ready any more")
        assert status.get("/livez").status == 200


def test_a_token_is_asked_for(site: Path) -> None:
    port = free_port()
    (site / "token").write_text("s3cret\n")
    with serve(site, port, "--status-token-file", "token"):
        status = Status(port)
        for headers in ({}, {"Authorization": "Bearer s3cre"}, {"Authorization": "s3cret"}):
            assert status.get("/metrics", **headers).status == 401
        assert status.get("/metrics", Authorization="Bearer s3cret").status == 200
        assert status.get("/readyz").status == 200


def test_an_open_address_without_a_token_is_refused(site: Path) -> None:
    with Server(
        "codes:app",
        "--status-bind",
        f"0.0.0.0:{free_port()}",
        directory=site,
        cwd=site,
        ready=False,
    ) as server:
        assert server.wait() == 2
        assert "everybody could read there; give --status-token-file" in server.log


def test_what_is_no_request_is_refused_and_bounded(site: Path) -> None:
    port = free_port()
    with serve(site, port):
        for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 40000):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                client.sendall(sent)
                connection = h11.Connection(h11.CLIENT)
                connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
                connection.receive_data(client.recv(65536))
                event = connection.next_event()
                assert isinstance(event, h11.Response)
                assert 400 <= event.status_code < 500
        assert Status(port).get("/livez").status == 200
