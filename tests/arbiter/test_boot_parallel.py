"""Workers boot a few at a time."""

from pathlib import Path

import pytest

from tests.harness.server import Server

APP = """
import os, time

began = time.monotonic()
time.sleep(0.2)  # an import that takes a while
with open(os.environ["BOOTS"], "a") as file:
    file.write(f"{began} {time.monotonic()}\\n")


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


@pytest.mark.parametrize(("parallel", "together"), [("1", 1), ("2", 2)])
def test_so_many_import_the_application_at_once(
    tmp_path: Path, parallel: str, together: int
) -> None:
    (tmp_path / "slow.py").write_text(APP)
    boots = tmp_path / "boots"
    options = ("-w", "4", "--boot-parallel", parallel, "--chdir", str(tmp_path))
    with Server("slow:app", *options, directory=tmp_path, env={"BOOTS": str(boots)}):
        times = [tuple(map(float, line.split())) for line in boots.read_text().splitlines()]
    assert len(times) == 4
    events = sorted([(began, 1) for began, _ in times] + [(ended, -1) for _, ended in times])
    running, most = 0, 0
    for _, change in events:
        running += change
        most = max(most, running)
    assert most == together
