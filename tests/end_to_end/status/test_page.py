"""The live page, in a real browser."""

from pathlib import Path

import pytest

from tests import programs
from tests.dev.browser import PATIENCE as BROWSER_PATIENCE
from tests.dev.browser import Browser
from tests.end_to_end.status.test_metrics import Status
from tests.harness.ports import free_port
from tests.harness.server import Server

SLOW = """
import time

def app(environ, start_response):
    time.sleep(0.02)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.soak
def test_figures_move_and_what_happens_is_seen(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "token").write_text("s3cret\n")
    port = free_port()
    driver, chromium = programs.need("chromedriver"), programs.need("chromium")
    options = ("-w", "2", "-n", "shop", "--status-bind", f"127.0.0.1:{port}")
    with (
        Server(
            "slow:app", *options, "--status-token-file", "token", directory=tmp_path, cwd=tmp_path
        ) as server,
        Browser(driver, chromium, tmp_path / "profile") as browser,
    ):

        def shows(text: str) -> bool:
            return text in browser.text()

        def wait(text: str) -> None:
            server.until(lambda: shows(text), f"the page shows {text!r}", BROWSER_PATIENCE)

        assert Status(port).get("/").headers["content-security-policy"]
        browser.open(f"http://127.0.0.1:{port}/")
        wait("Token")
        browser.run(
            "document.getElementById('token').value = 's3cret';"
            "document.getElementById('ask').requestSubmit()"
        )
        wait("serving: 2 of 2 workers, generation 1")
        rate = "return document.querySelector('#card-rate b').innerText"

        def moves() -> bool:
            server.get("/")
            return int(browser.run(rate)) > 0

        server.until(moves, "requests are seen", BROWSER_PATIENCE)
        server.signal(1)
        wait("generation 2")
        wait("last reload")
        worker = next(each for each in server.workers() if "worker" in " ".join(each.cmdline()))
        worker.kill()
        wait("1 restarts")
        # A phone has no need to scroll sideways, but in the table.
        for width in (390, 1280):
            browser.run(f"document.body.style.maxWidth = '{width}px'")
            inner = browser.run("return document.querySelector('.cards').scrollWidth")
            assert int(inner) <= width
