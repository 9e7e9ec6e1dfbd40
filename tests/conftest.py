"""What all tests have in common."""

import compileall
import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import programs

# The tests start the real command a thousand times: it is compiled once, here. What the tests
# themselves write is compiled each time, for they write it anew within the second by which
# Python tells an old file from a new one.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
# A line that is printed and flushed arrives whole, however many processes print.
os.environ.pop("PYTHONUNBUFFERED", None)

HERE = Path(__file__).parent
# Files that take long begin first, the longest at once: no process of -n is left alone with one.
LONGEST = tuple((HERE / "longest_files.txt").read_text().split())


def pytest_sessionstart(session: pytest.Session) -> None:
    # The modules of the tests, with pytest's assertions, are compiled for the next run too.
    sys.dont_write_bytecode = False
    if not hasattr(session.config, "workerinput"):  # once, not in each process of -n
        for folder in (HERE.parent / "pyfork", HERE):
            compileall.compile_dir(folder, quiet=2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    sys.dont_write_bytecode = True
    if hasattr(config, "workerinput"):
        count = Counter(item.path for item in items)
        places = {HERE / f"{name}.py": place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: (places.get(item.path, len(places)), -count[item.path]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            programs.need(name)
    until = float(os.environ.get("TESTS_SOAKS_UNTIL") or "inf")
    if item.get_closest_marker("soak") and time.time() > until:
        pytest.skip("the time for soaks is over")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """README's command says in one line what it skipped, and which packages bring it."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    if line := programs.summary(reasons):
        terminalreporter.write_line(line)
