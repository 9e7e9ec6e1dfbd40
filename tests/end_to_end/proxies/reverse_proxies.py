"""A proxy before a server: a child of ours, on a free port, with the configuration in examples/.

    with front("nginx", "unix:/tmp/shop.sock", directory) as address: ...

Of the example only places are replaced, and what Debian's build of a proxy would write outside of
the test's directory. Where there is no such proxy, the test is skipped.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests import programs
from tests.harness.ports import free_port
from tests.harness.server import PATIENCE, ROOT

PROXIES = ("nginx", "haproxy", "caddy")
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Plan:
    """How one is started: its example, what is replaced in that, and its command."""

    example: str  # below examples/
    places: dict[str, str]  # from the example -> here
    words: tuple[str, ...]  # of the command, before the configuration
    behind: str = ""  # what is added to the example
    strict: dict[str, str] = field(default_factory=dict)
    """Takes away what would hide a fault of ours: that it asks again after a failure."""


def nginx(address: str, upstream: str, directory: Path, secure: str, pem: Path) -> Plan:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {directory}/{kind}; " for kind in kinds)
    owner = "user root; " if os.geteuid() == 0 else ""  # who may enter pytest's directories
    tls = f"listen {secure} ssl; ssl_certificate {pem}; ssl_certificate_key {pem};"
    places = {
        "http {": f"http {{ access_log off; {temporary}",
        "listen 80;": f"listen {address}; {tls}",
        "server unix:/run/shop.sock;": f"server {upstream};",
    }
    own = f"daemon off; pid {directory}/pid; error_log stderr; {owner}"
    strict = {"proxy_connect_timeout 5s;": "proxy_next_upstream off;"}
    return Plan("nginx/nginx.conf", places, ("-e", "stderr", "-g", own, "-c"), strict=strict)


def haproxy(address: str, upstream: str, directory: Path, secure: str, pem: Path) -> Plan:
    places = {
        "bind :80": f"bind {address}\n    bind {secure} ssl crt {pem}",
        "server shop 127.0.0.1:8000": f"server shop {upstream.replace('unix:', 'unix@')}",
    }
    strict = {"http-reuse safe": "http-reuse always\n    retries 0"}
    return Plan("haproxy/haproxy.cfg", places, ("-db", "-f"), strict=strict)


def caddy(address: str, upstream: str, directory: Path, secure: str, pem: Path) -> Plan:
    places = {
        "# Caddy before": "{\n admin off\n auto_https off\n}\n# Caddy before",
        "\n:80 {": "\n(site) {",
        "reverse_proxy unix//run/shop.sock": f"reverse_proxy {upstream.replace('unix:', 'unix/')}",
    }
    plain = f"http://{address} {{\n import site\n}}\n"
    encrypted = f"https://{secure} {{\n tls {pem} {pem}\n import site\n}}\n"
    words = ("run", "--adapter", "caddyfile", "--config")
    return Plan("caddy/Caddyfile", places, words, behind=plain + encrypted)


def sticky(kind: str) -> Callable[[str, str, Path, str, Path], Plan]:
    """The example for three servers, whose addresses stand in ``upstream`` with commas between."""
    plain, example = {
        "nginx": (nginx, "nginx/sticky.conf"),
        "haproxy": (haproxy, "haproxy/sticky.cfg"),
    }[kind]

    def plan(address: str, upstream: str, directory: Path, secure: str, pem: Path) -> Plan:
        usual = plain(address, upstream, directory, secure, pem)
        places = dict(list(usual.places.items())[:-1])  # the last one is the server
        end = ";" if kind == "nginx" else " cookie"
        for number, server in enumerate(upstream.split(",")):
            places[f"server {_NAMES[kind].format(number)}127.0.0.1:900{number}{end}"] = (
                f"server {_NAMES[kind].format(number)}{server}{end}"
            )
        return Plan(example, places, usual.words)

    return plan


_NAMES = {"nginx": "", "haproxy": "tools-{} "}
_PLANS = {
    "nginx": nginx,
    "haproxy": haproxy,
    "caddy": caddy,
    "nginx sticky": sticky("nginx"),
    "haproxy sticky": sticky("haproxy"),
}


@dataclass(frozen=True, slots=True)
class Front:
    """A proxy that runs: where it listens, HOST:PORT."""

    kind: str
    address: str
    secure: str  # with TLS

    @property
    def url(self) -> str:
        return f"http://{self.address}"


@contextmanager
def front(kind: str, upstream: str, directory: Path, *, strict: bool = False) -> Iterator[Front]:
    """Run one before ``upstream``: HOST:PORT or unix:PATH."""
    program = programs.need(kind.partition(" ")[0])
    found = Front(kind, f"{HOST}:{free_port()}", f"{HOST}:{free_port()}")
    plan = _PLANS[kind](found.address, upstream, directory, found.secure, certificate(directory))
    text = (ROOT / "examples" / plan.example).read_text()
    for old, new in (plan.places | (plan.strict if strict else {})).items():
        assert text.count(old) == 1, f"{old!r} in {plan.example}"
        text = text.replace(old, new)
    configuration = directory / "configuration"
    configuration.write_text(text + plan.behind)
    environ = os.environ | {"HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    with open(directory / "front.log", "ab") as log:
        process = subprocess.Popen(
            [program, *plan.words, configuration],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_open(found, process)
        yield found
    finally:
        _end(process)
        print(f"--- {kind}", (directory / "front.log").read_text(), sep="\n")


def certificate(directory: Path) -> Path:
    """A certificate of its own for HOST, with its key."""
    pem, key = directory / "front.pem", directory / "front.key"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    name = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=IP:{HOST}"]
    words = [*made.split(), *name, "-days", "2", "-keyout", str(key), "-out", str(pem)]
    subprocess.run(words, check=True, capture_output=True)
    pem.write_text(pem.read_text() + key.read_text())
    return pem


def _wait_open(found: Front, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    for address in (found.address, found.secure):
        host, _, port = address.partition(":")
        while True:
            assert process.poll() is None, f"{found.kind} ended with {process.returncode}"
            with suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
                break
            assert time.monotonic() < deadline, f"{found.kind} does not listen"
            time.sleep(0.01)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
