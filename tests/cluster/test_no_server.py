"""A script that serves nothing says what to write."""

from pathlib import Path

from tests.harness.server import Server


def test_a_script_that_only_defines_an_application(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text("import flask\n\napp = flask.Flask('web')\n")
    options = {"directory": tmp_path, "cwd": tmp_path, "bind": False, "ready": False}
    with Server("web.py", "run", **options) as server:  # type: ignore[arg-type]
        assert server.wait() == 3
        (line,) = (each for each in server.log.splitlines() if "ended" in each)
        assert line.endswith(
            "web.py ended before it listened; it defines an application: use pyfork web:app"
        )
