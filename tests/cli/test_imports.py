"""What a start loads before it forks: every module more is time to the first answer, and memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pyfork

ROOT = Path(pyfork.__file__).parents[1]
PROBE = """\
import logging, os, sys

system = set(sys.modules)

def fork():
    print(*sys.modules.keys() - system, flush=True)
    os._exit(0)

os.fork = fork
from pyfork.__main__ import main
main()
"""

# Each was imported once, and took milliseconds of every start.
UNWANTED = {
    "argparse": "pyfork.config.command_line.getopt reads the command line",
    "click": "pyfork.config.command_line.getopt reads the command line",
    "dataclasses": "pyfork.record has records and entities",
    "email": "pyfork.http.response.date writes dates",
    "glob": "os.listdir does it",
    "pathlib": "os.path does it",
    "random": "needed with --max-requests only",
    "tomllib": "needed for a file that has settings only",
    "difflib": "needed for a mistake only",
    "pkgutil": "pyfork.arbiter.workers.fork.resolve does it",
    "psutil": "needed with --max-memory only",
    "h11": "needed with --http h11 only",
    "uvicorn": "needed for -k uvicorn only",
    "websockets": "needed at the first WebSocket handshake",
    "watchfiles": "the watcher is a child",
    "multiprocessing": "nothing needs it",
    "urllib.request": "nothing needs it",
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules of an arbiter that is about to fork its first worker, without those that logging
    needs: from CPython 3.14 on dataclasses is one of them. It starts in somebody's project."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "pyproject.toml").write_text('[project]\nname = "shop"\n[tool.other]\nx = 1\n')
    done = subprocess.run(
        [sys.executable, "-c", PROBE, "-b", "127.0.0.1:0", "--control", "off", "app:app"],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("name", UNWANTED)
def test_what_few_need_is_not_imported(name: str, loaded: set[str]) -> None:
    assert name not in loaded, UNWANTED[name]


def test_what_workers_need_is_imported_once_for_all(loaded: set[str]) -> None:
    wanted = {
        "asyncio",
        "pyfork.http.connection.connection",
        "pyfork.http.wsgi.gateway",
        "pyfork.http.asgi.gateway",
    }
    assert wanted < loaded
