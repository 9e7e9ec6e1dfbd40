"""A worker that is replaced after a deploy has other code than its generation."""

import signal
from pathlib import Path

from tests.harness.server import Server

APP = """
import part

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "1")])
    return [part.TEXT]
"""
WARNING = "has imported other code than its generation"


def test_a_replacement_with_other_code_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    part = tmp_path / "part.py"
    part.write_text("TEXT = b'1'\n")
    with Server("shop:app", "-w", "2", "--chdir", str(tmp_path), directory=tmp_path) as server:

        def replace() -> None:
            ready = server.log.count(" is ready after ")
            server.workers()[0].kill()
            server.wait_log(" is ready after ", ready + 1)

        replace()
        assert WARNING not in server.log
        part.write_text("TEXT = b'2'\n")
        for _ in range(2):
            replace()
        server.wait_log(WARNING)
        assert server.log.count(WARNING) == 1
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        server.until(lambda: len(server.workers()) == 2, "the old workers have left")
        replace()
        assert server.log.count(WARNING) == 1
