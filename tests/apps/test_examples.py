"""Each example runs with the command that its first line gives."""

import re
import shlex
from pathlib import Path

import pytest

from tests.harness.server import ROOT, Server

EXAMPLES = sorted((ROOT / "examples").glob("hello*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_as_its_first_line_says(path: Path, tmp_path: Path) -> None:
    found = re.search(r"Run it with:  pyfork (.+?)\"\"\"", path.read_text())
    assert found
    app, *options = shlex.split(found[1])
    with Server(app, *options, directory=tmp_path) as server:
        answer = server.get("/")
        assert answer.status == 200
        said = re.fullmatch(r"Hello from process (\d+)\n", answer.body.decode())
        assert said
        assert int(said[1]) in [worker.pid for worker in server.workers()]
        assert f"with {len(server.workers())} workers" in server.log


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3
