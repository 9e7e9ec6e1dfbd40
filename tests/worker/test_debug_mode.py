"""Whether an application is in debug mode is a question that it may answer with anything."""

from pathlib import Path

import pytest

from pyfork.loader.debug_mode import in_debug_mode
from tests.harness.server import Server

RAISES = """
class App:
    @property
    def debug(self):
        raise RuntimeError("no context")

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Length", "4")])
        return [b"here"]

app = App()
"""


class Application:
    def __init__(self, debug: object) -> None:
        self.debug = debug


@pytest.mark.parametrize(("debug", "is_on"), [(True, True), (False, False), ("yes", False)])
def test_the_attribute_counts(debug: object, is_on: bool) -> None:
    assert in_debug_mode(Application(debug)) is is_on


def test_one_that_raises_is_served(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(RAISES)
    with Server("odd:app", directory=tmp_path, cwd=tmp_path) as server:
        assert server.get("/").body == b"here"
    assert "ERROR" not in server.log
