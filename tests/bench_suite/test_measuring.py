"""That it measures at all: a real server, a real load."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import load
from tests.bench.instructions import report
from tests.server import ROOT

needs_wrk = pytest.mark.skipif(not load.installed(), reason="wrk is not installed")
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
        ((rate, p99),) = result["rounds"]["pyfork-wsgi"]
        assert rate > 100
        assert p99 > 0
    assert done.stdout.count("pyfork-wsgi") == 2
    assert drawing.read_text().count("pyfork-wsgi") == 2


def test_what_there_is_not_is_said() -> None:
    done = bench("--cases", "bare,nothing")
    assert done.returncode == 2
    assert "no nothing among bare, browser" in done.stderr


def test_more_instructions_than_recorded_are_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    assert not report({"a": 1029, "b": 900, "new": 5}, {"a": 1000, "b": 1000})
    assert "too many" not in capsys.readouterr().out
    assert report({"a": 1031}, {"a": 1000})
    assert "+3.1%  too many" in capsys.readouterr().out
