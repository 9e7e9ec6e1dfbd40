"""The real command, up to where it would serve."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pyfork
from pyfork.config.config import SETTINGS
from tests.harness.server import environment

START = [sys.executable, "-m", "pyfork"]
APP = "def app(environ, start_response):\n    return []\n"


@pytest.fixture
def environ() -> dict[str, str]:
    return environment() | {"COLUMNS": "100"}


class Command:
    """Runs pyfork in a directory of its own."""

    def __init__(self, directory: Path, environ: dict[str, str]) -> None:
        self.directory = directory
        self.environ = environ

    def __call__(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*START, *argv],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def command(tmp_path: Path, environ: dict[str, str]) -> Command:
    return Command(tmp_path, environ)


def test_version(command: Command) -> None:
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"pyfork {pyfork.__version__}\n")


def test_help(command: Command) -> None:
    command.environ["COLUMNS"] = "80"
    done = command("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: pyfork [OPTIONS] [APP]\n")
    assert "-w, --workers N|auto" in done.stdout
    assert "--backlog" not in done.stdout
    assert re.search(r"^  status +Show ", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert len(done.stdout.splitlines()) < 70  # it is read, not searched


def test_help_all(command: Command) -> None:
    done = command("--help-all")
    assert all(flag in done.stdout for each in SETTINGS.values() for flag in each.flags)
    assert "\nTimeouts:\n" in done.stdout


def test_help_of_run(command: Command) -> None:
    done = command("run", "--help")
    assert done.stdout.startswith("Usage: pyfork run [OPTIONS] SCRIPT [-- ARGS]\n")
    assert "--bind" not in done.stdout


def test_help_is_a_command_too(command: Command) -> None:
    assert command("help").stdout == command("--help").stdout
    assert command("help", "run").stdout == command("run", "--help").stdout
    assert command("help", "reload").stdout == command("reload", "--help").stdout
    done = command("help", "nothing")
    assert (done.returncode, done.stderr) == (
        2,
        "pyfork: error: nothing: no such command; pyfork help lists them\n",
    )


def test_verbose_is_a_log_level(command: Command) -> None:
    lines = command("-v", "--print-config").stdout.splitlines()
    assert ["log_level", "debug", "-v"] in [line.split() for line in lines]


def test_who_reads_help_may_leave(tmp_path: Path, environ: dict[str, str]) -> None:
    line = f"{sys.executable} -m pyfork --help-all | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], env=environ, cwd=tmp_path, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_print_config_needs_no_app(command: Command) -> None:
    (command.directory / "pyfork.toml").write_text("threads = 2\n")
    command.environ["WEB_CONCURRENCY"] = "3"
    done = command("--bind=:0", "--print-config")
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert ["threads", "2", "pyfork.toml: threads"] in lines
    assert ["workers", "3", "WEB_CONCURRENCY"] in lines
    assert ["bind", ":0", "--bind"] in lines
    assert ["app", "none", "default"] in lines


def test_serve_may_be_said(command: Command) -> None:
    assert "--workers" in command("serve", "--workers", "2", "--print-config").stdout


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            (),
            "no application given, and none was found here: write pyfork MODULE:NAME, or app in "
            "pyfork.toml",
        ),
        (
            ("show", "shop"),
            "show: no such command: to see a running server and its workers, write "
            "pyfork describe [TARGET]",
        ),
        (("relod",), "relod: no such command; did you mean pyfork reload?"),
        (("statu",), "statu: no such command; did you mean pyfork status?"),
        (("a:b", "--workrs", "2"), "--workrs: no such option; did you mean --workers?"),
        (("a:b", "-w", "x"), "-w: 'x' is not a whole number of at least 1, or auto"),
        (("a:b", "-c", "none.toml"), "none.toml: cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    command: Command, argv: tuple[str, ...], message: str
) -> None:
    done = command(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"pyfork: error: {message}\n"


def test_a_word_that_is_no_module_binds_nothing(command: Command) -> None:
    (command.directory / "log").mkdir()
    (command.directory / "kitchen.py").write_text(APP)
    for word, advice in (("frobnicate", ""), ("kitchn", "; did you mean kitchen?")):
        done = command(word, "-b", "nowhere.invalid:80")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"pyfork: error: {word}: no such command, and no such module in {command.directory}"
            f"{advice}\n"
        )
    assert "no such command: to read the log of a running" in command("log", "shop", "-f").stderr
    (command.directory / "log.py").write_text(APP)
    assert command("log", "--check-config").returncode == 0


@pytest.mark.parametrize(
    ("word", "shown"),
    [("shop/web.py", "shop/web.py"), ("./shop/web.py:app", "./shop/web.py:app")],
)
def test_a_path_of_a_source_is_understood(command: Command, word: str, shown: str) -> None:
    (command.directory / "shop").mkdir()
    (command.directory / "shop/web.py").write_text(APP)
    done = command(word, "--check-config")
    assert (done.returncode, done.stdout) == (0, f"{shown}: WSGI application, ready to serve\n")


def test_a_bare_command_finds_the_application_that_is_there(command: Command) -> None:
    (command.directory / "main.py").write_text(f"import shop\n{APP}")
    (command.directory / "shop.py").write_text("")
    done = command("--check-config")
    assert done.stdout == "main:app: WSGI application, ready to serve\n"
    assert done.stderr == "pyfork: note: no application was given: main:app was found in main.py\n"
    (command.directory / "app.py").write_text(APP)
    done = command("--check-config")
    assert done.returncode == 2
    assert done.stderr.endswith(
        "several were found here: write pyfork app:app or pyfork main:app\n"
    )


def test_a_pid_file_that_looks_like_a_port_is_warned_of(command: Command) -> None:
    done = command("-p", "22011", "--print-config")
    assert done.returncode == 0
    assert done.stderr == (
        "pyfork: warning: -p: 22011 is the name of a pid file; for the port, write -b :22011\n"
    )


def test_check_config_loads_the_app_where_it_is_told_to(command: Command) -> None:
    (command.directory / "site").mkdir()
    (command.directory / "lib").mkdir()
    (command.directory / "site/shop.py").write_text(
        "import os, parts\nassert os.environ['COLOUR'] == 'red'\n" + APP
    )
    (command.directory / "lib/parts.py").write_text("")
    done = command(
        *("shop:app", "--chdir", "site", "--pythonpath", "../lib", "-e", "COLOUR=red"),
        "--check-config",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "shop:app: WSGI application, ready to serve\n"


def test_check_config_tells_whose_fault_it_is(command: Command) -> None:
    (command.directory / "shop.py").write_text("1 / 0\n")
    assert command("shop:app", "--check-config", "-w", "x").returncode == 2
    assert "none" in command("shop:app", "--check-config", "--chdir", "none").stderr
    done = command("shop:app", "--check-config")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("pyfork: error: ")
    assert "ZeroDivisionError" in done.stderr
    assert "shop.py" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_amid_the_imports_is_no_failure(
    number: signal.Signals, tmp_path: Path, environ: dict[str, str]
) -> None:
    # Stands in for a heavy import, and never ends.
    (tmp_path / "uvloop.py").write_text("import signal\nprint('.', flush=True)\nsignal.pause()\n")
    with subprocess.Popen(
        [*START, "a:b"], cwd=tmp_path, env=environ, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b".\n"
        process.send_signal(number)
        assert process.wait(30) == 0
