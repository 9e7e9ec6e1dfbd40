"""Applications and configurations that gevent has patched, which no worker class runs."""

from pathlib import Path

import pytest

from pyfork.errors import ExitStatus
from tests.harness.server import Server

PATCHED = """
from gevent import monkey
monkey.patch_all()

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.parametrize(
    "options", [("-k", "sync"), ("-k", "thread"), ("-k", "asgi"), ("--reload",)]
)
def test_an_application_that_gevent_has_patched(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Loops of ours cannot run there: it is told so, and by which way out."""
    (tmp_path / "patched.py").write_text(PATCHED)
    server = Server(
        "patched:app", *options, directory=tmp_path, cwd=tmp_path, ready=False, clean=False
    )
    with server:
        assert server.wait() == ExitStatus.BOOT
        assert "patched:app is patched by gevent" in server.log
        assert "pyfork run server.py" in server.log
        assert "Traceback" not in server.log


def test_parts_of_gevent_without_its_patches_are_served(tmp_path: Path) -> None:
    (tmp_path / "unpatched.py").write_text(PATCHED.replace("monkey.patch_all()", ""))
    with Server("unpatched:app", directory=tmp_path, cwd=tmp_path) as server:
        assert server.get("/").body == b"ok"


def test_a_configuration_that_patches_with_gevent(tmp_path: Path) -> None:
    (tmp_path / "unpatched.py").write_text(PATCHED.replace("monkey.patch_all()", ""))
    (tmp_path / "conf.py").write_text("from gevent import monkey\nmonkey.patch_all()\n")
    server = Server(
        "unpatched:app",
        *("-c", "conf.py"),
        directory=tmp_path,
        cwd=tmp_path,
        ready=False,
        clean=False,
    )
    with server:
        assert server.wait() == ExitStatus.USAGE
        assert "conf.py: it patches Python with gevent" in server.log
