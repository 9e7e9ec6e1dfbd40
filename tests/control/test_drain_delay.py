"""--drain-delay: told to stop, the server goes on as before for a while, and says that it will."""

import signal
import time

import pytest

from tests.harness.server import Server
from tests.harness.site import Site


def told(site: Site, *options: str) -> Server:
    server = site.serve("-w", "2", *options)
    server.signal(signal.SIGTERM)
    server.until(lambda: site.status(server)["state"] == "draining", "it says that it will go")
    return server


def test_it_serves_until_the_delay_is_over(site: Site) -> None:
    began = time.monotonic()
    server = told(site, "--drain-delay", "4")
    assert site.command("status", str(server.pid), "--quiet").returncode == 1
    assert site.wire(server).ask("reload")["error"] == "the server is stopping"
    server.signal(signal.SIGHUP)
    assert server.get("/").body == b"one"
    server.workers()[0].kill()
    server.until(
        lambda: sum(each["state"] == "serving" for each in site.status(server)["workers"]) == 2,
        "the dead worker is replaced all the same",
    )
    assert server.get("/").body == b"one"
    assert server.wait() == 0
    assert time.monotonic() - began > 4
    assert "generation 2" not in server.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_another_signal_ends_it(site: Site, number: signal.Signals) -> None:
    server = told(site, "--drain-delay", "600")
    assert server.get("/").body == b"one"
    server.signal(number)
    assert server.wait() == 0


def test_a_quick_stop_does_not_wait_for_it(site: Site) -> None:
    server = told(site, "--drain-delay", "600")
    assert site.wire(server).ask("stop", quick=True)["ok"]
    assert server.wait() == 0
