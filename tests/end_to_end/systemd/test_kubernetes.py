"""examples/kubernetes by the schemas of Kubernetes, and by what pyfork has."""

import re
from pathlib import Path

import pytest

from pyfork.config.command_line.arguments import parse
from pyfork.metrics import families

EXAMPLES = Path(__file__).parents[3] / "examples/kubernetes"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_a_file_is_valid(path: Path) -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    yaml = pytest.importorskip("yaml")
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    for each in documents:
        schemas.validate(each, "1.29", strict=True)


def test_options_and_probes_are_those_of_pyfork() -> None:
    text = (EXAMPLES / "deployment.yaml").read_text()
    options = re.findall(r"^ +- (--\S+)$", text, re.MULTILINE)
    assert len(options) == 4
    assert parse(["shop.wsgi", *options])
    assert set(re.findall(r"path: (/\w+z)$", text, re.MULTILINE)) == {"/readyz"}


def test_the_autoscaler_asks_for_metrics_that_exist() -> None:
    source = Path(families.__file__).read_text()
    text = (EXAMPLES / "scale.yaml").read_text()
    names = set(re.findall(r"pyfork_\w+", text)) - {"pyfork_busy_share"}
    assert names == {"pyfork_request_duration_seconds_sum", "pyfork_workers_wanted"}
    assert all(name.removesuffix("_sum") in source for name in names)
