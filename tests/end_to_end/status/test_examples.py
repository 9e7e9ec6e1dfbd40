"""What examples/prometheus asks for is what a server has."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from pyfork.ipc.metric_cells import CELLS, SERIES
from pyfork.metrics.exposition import text
from pyfork.metrics.families import families
from tests import programs

EXAMPLES = Path(__file__).parents[3] / "examples/prometheus"
STATUS = {
    "generation": 1,
    "ready": True,
    "uptime": 9.0,
    "log_lines_lost": 0,
    "version": "1",
    "events": {"worker": {"left": 1}, "reload": {"failed": 1}, "upgrade": {"failed": 0}},
    "durations": {"reload": 0.5},
    "queues": [{"address": "127.0.0.1:80", "number": 0, "length": 1, "limit": 9}],
    "workers_wanted": 1,
    "workers": [
        {
            "slot": 0,
            "state": "serving",
            "memory": 9,
            "queue_time": 0.0,
            "loop_lag": 0.0,
            "in_flight": 1,
            "connections": 2,
        },
    ],
}


@pytest.fixture
def page() -> str:
    numbers = [1] * CELLS
    found = families(STATUS, numbers, [0.5] * SERIES, certificates={"a.pem": 2e9}, now=1e9)
    return text(found, openmetrics=False)


def test_every_metric_that_they_name_exists(page: str) -> None:
    names = {line.partition("{")[0].partition(" ")[0] for line in page.splitlines()}
    rules = (EXAMPLES / "alerts.yml").read_text()
    dashboard = json.loads((EXAMPLES / "grafana.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(asked) > 8
    for expression in (*re.findall(r"expr: (.*)", rules), rules, *asked):
        assert set(re.findall(r"pyfork_\w+", expression)) <= names
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_promtool_understands_rules_and_metrics(page: str) -> None:
    promtool = programs.need("promtool")
    rules = [promtool, "check", "rules", str(EXAMPLES / "alerts.yml")]
    done = subprocess.run(rules, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
