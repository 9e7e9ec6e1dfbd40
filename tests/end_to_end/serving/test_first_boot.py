"""The first boot of a server whose application is not complete yet."""

from pathlib import Path

from tests.harness.server import Server

APP = """
import os, pathlib, time

if os.environ["PYFORK_WORKER"] == "1":
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    import shop

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_a_worker_that_cannot_boot_does_not_end_one_that_serves(tmp_path: Path) -> None:
    """The other one becomes ready as soon as the deploy is complete."""
    (tmp_path / "shopfront.py").write_text(APP)
    with Server(
        "shopfront:app", "-w", "2", directory=tmp_path, cwd=tmp_path, ready=False
    ) as server:
        server.wait_log(") is ready")
        (tmp_path / "go").touch()
        server.wait_log("could not boot: shopfront.py:")
        assert server.get("/").body == b"ok"
        (tmp_path / "shop.py").touch()
        server.wait_log(") is ready", 2)
        assert len(server.workers()) == 2
