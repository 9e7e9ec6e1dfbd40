"""Both packages are built and checked, and the main job runs from the installed wheel."""

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.harness.server import ROOT, Server

PROGRAMS = ("build", "check_wheel_contents", "hatchling", "twine")
APP = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    import pyfork
    return [pyfork.__file__.encode()]
"""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, PROGRAMS)),
        reason="the package extra is not installed",
    ),
]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, and the wheel that is built from it."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "-o", directory)
    return directory


@pytest.fixture(scope="module")
def installed(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment in which the wheel is installed, without the clone.

    What pyfork requires is that of the environment of the tests, so nothing is fetched.
    """
    directory = tmp_path_factory.mktemp("venv")
    (wheel,) = packages.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", directory)
    scripts = directory / "bin"
    (site,) = directory.glob("lib/python*/site-packages")
    (site / "required.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python")
    run(*pip, "install", "-q", "--no-deps", "--no-index", "--ignore-installed", wheel)
    return scripts


def test_metadata_and_contents(packages: Path) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *packages.iterdir())
    (wheel,) = packages.glob("*.whl")
    run(sys.executable, "-m", "check_wheel_contents", wheel)


def test_the_wheel_has_each_file_of_the_package(packages: Path) -> None:
    (wheel,) = packages.glob("*.whl")
    names = run(sys.executable, "-m", "zipfile", "-l", wheel)
    for path in (ROOT / "pyfork").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert f"{path.relative_to(ROOT)} " in names


def test_the_main_job_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(APP)
    pyfork, environ = (
        str(installed / "pyfork"),
        {"XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": ""},
    )
    server = Server(
        *("job:app", "-w", "2", "-n", "job"),
        directory=tmp_path,
        cwd=tmp_path,
        env=environ,
        command=[pyfork],
    )
    with server:
        answer = server.get("/")
        assert answer.status == 200
        assert Path(answer.body.decode()).is_relative_to(installed.parent)
        for command in ("status", "reload --wait", "stop --wait"):
            done = subprocess.run(
                [pyfork, *command.split(), "job"],
                cwd=tmp_path,
                env=os.environ | environ,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
