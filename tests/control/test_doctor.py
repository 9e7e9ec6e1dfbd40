"""``pyfork doctor``: each check by its facts, and the command over a real server."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import trustme

from pyfork.config.config import SETTINGS
from pyfork.ctl.doctor import Facts, findings
from tests.harness.site import Site

DEFAULTS = {name: str(each.kind.show(each.default)) for name, each in SETTINGS.items()}
PUBLIC = {"addresses": ["0.0.0.0:80"], "workers_wanted": 2}
GOOD: dict[str, Any] = {
    "status": {"addresses": ["127.0.0.1:80", "unix:/run/a"], "workers_wanted": 2},
    "settings": DEFAULTS,
    "files": 65536,
    "control": "/run/pyfork/1.sock",
    "cpus": 2,
    "memory": 100 << 20,
    "memory_limit": 200 << 20,
    "somaxconn": 4096,
    "control_is_open": False,
    "expiry": {"a.pem": 90 * 86400.0},
    "place": "",
    "has_uvloop": True,
}
DAY = 86400.0


def _workers(status: dict[str, Any] = GOOD["status"], **changed: Any) -> dict[str, Any]:
    """Facts about a server with one worker."""
    worker = {"boot": 0.5, "debug": False, "interface": "wsgi", "loop_lag": 0.0} | changed
    return {"status": status | {"workers": [worker]}}


@pytest.mark.parametrize(
    ("changed", "settings", "serious", "problem"),
    [
        ({"status": PUBLIC | {"workers_wanted": 6}}, {}, False, "6 workers share 2 CPUs"),
        ({"memory": 190 << 20}, {}, True, "the server has 190 MiB of the 200 MiB"),
        ({}, {"keep_alive": "5"}, False, "idle connections are closed after 5 s"),
        ({"somaxconn": 128}, {}, False, "--backlog 2048 is cut to 128 by the kernel"),
        ({"files": 1024}, {}, True, "10000 connections and open only 1024 files"),
        ({"status": PUBLIC}, {"forwarded_allow_ips": "*"}, True, "every client may say"),
        ({"status": PUBLIC}, {"reload": "true"}, True, "--reload is for development"),
        ({"place": "docker"}, {}, True, "a stop may take 30 s, and docker kills after 10 s"),
        (
            {"place": "kubernetes"},
            {"graceful_timeout": "40"},
            True,
            "may take 40 s, and kubernetes",
        ),
        ({"expiry": {"a.pem": -1.0}}, {}, True, "a.pem has expired"),
        ({"expiry": {"a.pem": 9 * DAY}}, {}, True, "a.pem expires in 9 d"),
        ({"control_is_open": True}, {}, True, "others may put a socket of theirs"),
        (_workers(PUBLIC, debug=True), {}, True, "the application is in debug mode"),
        (_workers(boot=7.0), {"boot_timeout": "10"}, True, "a worker took 7.0 s to boot"),
        (_workers(interface="asgi", loop_lag=0.4), {}, False, "stood still for 0.40 s"),
        ({"has_uvloop": False}, {}, False, "uvloop is not installed"),
    ],
)
def test_a_fault_is_found(
    changed: dict[str, Any], settings: dict[str, str], serious: bool, problem: str
) -> None:
    (found,) = findings(Facts(**(GOOD | changed | {"settings": DEFAULTS | settings})))
    assert (found.serious, problem in found.problem) == (serious, True)
    assert found.fix
    assert (Path(__file__).parents[2] / found.page).exists()


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"memory": None, "memory_limit": None, "somaxconn": None, "files": None, "expiry": {}},
        {"settings": DEFAULTS | {"forwarded_allow_ips": "*", "reload": "true"}},
        _workers(debug=True),
        _workers(loop_lag=5.0),  # a sync worker runs the application in its loop
        {"settings": DEFAULTS | {"keep_alive": "0", "loop": "asyncio"}, "has_uvloop": False},
    ],
)
def test_what_is_well_or_not_known_is_no_fault(changed: dict[str, Any]) -> None:
    assert list(findings(Facts(**(GOOD | changed)))) == []


DEBUGGED = {
    "flask": """
from flask import Flask
app = Flask(__name__)
app.debug = True
""",
    "django": """
from django.conf import settings
from django.core.wsgi import get_wsgi_application
settings.configure(DEBUG=True, SECRET_KEY="x", ROOT_URLCONF="shop", ALLOWED_HOSTS=["*"])
urlpatterns = []
app = get_wsgi_application()
""",
}


@pytest.mark.parametrize("framework", DEBUGGED)
def test_the_debug_mode_of_a_framework_is_seen(site: Site, framework: str) -> None:
    site.write(DEBUGGED[framework])
    server = site.serve()
    assert [each["debug"] for each in site.status(server)["workers"]] == [True]


def test_an_application_that_does_not_run(site: Site) -> None:
    site.write(DEBUGGED["flask"])
    (site.directory / "pyfork.toml").write_text('bind = "0.0.0.0:8000"\nkeep_alive = 5\n')
    done = site.command("doctor", "--json", "shop:app")
    found = [json.loads(line)["problem"] for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (1, "")
    assert any("in debug mode" in each for each in found)
    assert any("closed after 5 s" in each for each in found)
    site.write("raise RuntimeError('no database')")
    broken = site.command("doctor", "shop:app")
    assert broken.returncode == 1
    assert "no database" in broken.stderr
    assert "no running server" in site.command("doctor", "nothing").stderr


def test_a_real_server(site: Site) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=7)
    issued = trustme.CA().issue_cert("localhost", not_after=soon)
    issued.private_key_and_cert_chain_pem.write_to_path(str(site.directory / "cert.pem"))
    server = site.serve("-n", "blue", "--certfile", "cert.pem", "--keep-alive", "5")
    done = site.command("doctor", "--json", str(server.pid))
    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    problems = {each["problem"]: each["serious"] for each in found}
    assert done.returncode == 1
    assert any("cert.pem expires in 6 d" in each for each in problems if problems[each])
    assert any("closed after 5 s" in each for each in problems)
    text = site.command("doctor", str(server.pid)).stdout
    assert "serious: " in text
    assert "renew the certificate (docs/tls.md)" in text
