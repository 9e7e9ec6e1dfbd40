"""That it measures at all: a real server, a real load."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.bench.instructions import report
from tests.bench.measure import new_run
from tests.harness.server import PATIENCE, ROOT

needs_wrk = pytest.mark.needs("wrk")
needs_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="a core for the server and one for the load"
)


def bench(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def writing_to(directory: Path) -> list[str]:
    """The processes whose stdout is a file in there, as those of servers under measurement."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has gone, or is not ours
            if os.readlink(f"/proc/{pid}/fd/1").startswith(str(directory)):
                found.append(pid)
    return found


@needs_wrk
@needs_cores
def test_a_quick_run_has_figures(tmp_path: Path) -> None:
    figures, drawing = tmp_path / "figures.json", tmp_path / "figures.svg"
    words = ("--quick", "--cases", "bare,varied", "--peers", "pyfork-wsgi")
    done = bench(*words, "--json", str(figures), "--plot", str(drawing))
    assert done.returncode == 0, done.stderr
    results = json.loads(figures.read_text())["results"]
    assert [result["name"] for result in results] == ["bare", "varied"]
    for result in results:
        assert not result["failures"]
        ((rate, p99, lost),) = result["rounds"]["pyfork-wsgi"]
        assert rate > 100
        assert p99 > 0
        assert not lost
    assert done.stdout.count("pyfork-wsgi") == 2
    assert drawing.read_text().count("pyfork-wsgi") == 2


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Who runs the tests in the background may have SIGINT ignored, which a child would inherit."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@needs_wrk
@needs_cores
@pytest.mark.usefixtures("interruptible")
def test_who_interrupts_it_can_go_on_with_what_was_measured(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = ("--rounds", "2", "--seconds", "1", "--cases", "bare", "--peers", "pyfork-wsgi")
    command = [sys.executable, "-m", "tests.bench", *words, "--json", str(figures)]
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=PIPE, stderr=PIPE, text=True) as first:
        assert first.stderr
        assert any("1/2 bare" in line for line in first.stderr)
        first.send_signal(signal.SIGINT)
        out, errors = first.communicate(timeout=PATIENCE)
    assert first.returncode == 130
    assert not writing_to(tmp_path)  # no server is left behind
    assert "bare GET (bare)" in out
    assert "--resume goes on" in errors
    (begun,) = json.loads(figures.read_text())["results"][0]["rounds"]["pyfork-wsgi"]
    done = bench(*words, "--json", str(figures), "--resume")
    assert done.returncode == 0, done.stderr
    assert "1/2" not in done.stderr
    rounds = json.loads(figures.read_text())["results"][0]["rounds"]["pyfork-wsgi"]
    assert len(rounds) == 2
    assert rounds[0] == begun


def test_to_go_on_takes_a_file_of_the_same_load(tmp_path: Path) -> None:
    assert "name it" in bench("--resume", "--cases", "bare").stderr
    figures = tmp_path / "figures.json"
    run = new_run([], [], rounds=1, seconds=9)
    figures.write_text(json.dumps(run.as_dict()))
    done = bench("--resume", "--seconds", "1", "--cases", "bare", "--json", str(figures))
    assert done.returncode == 2
    assert "with another load" in done.stderr


def test_what_there_is_not_is_said() -> None:
    done = bench("--cases", "bare,nothing")
    assert done.returncode == 2
    assert "no nothing among varied, bare, browser" in done.stderr


def test_more_instructions_than_recorded_are_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    assert not report({"a": 1029, "b": 900, "new": 5}, {"a": 1000, "b": 1000})
    assert "too many" not in capsys.readouterr().out
    assert report({"a": 1031}, {"a": 1000})
    assert "+3.1%  too many" in capsys.readouterr().out
