"""The end of a worker that runs an ASGI application."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.ending.test_end import ENDS, notes
from tests.harness.server import Server


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("kind", ["asgi", "uvicorn"])
@pytest.mark.parametrize("how", ["TERM", "HUP", "TERM to the worker", "the arbiter's death"])
def test_the_order_of_the_end(tmp_path: Path, kind: str, loop: str, how: str) -> None:
    end: Callable[[Server], None] = ENDS[how][0]
    options = ("-k", kind, "--loop", loop)
    server = Server(
        "tests.end_to_end.ending.asgi:app", *options, directory=tmp_path, cwd=tmp_path, clean=False
    )
    with server:
        for path in ("/child", "/job"):
            assert server.get(path).status == 200
        end(server)
        order = ["SIGTERM True", "lifespan shutdown", "task cancelled", "exit function"]
        assert [line for line in notes(tmp_path) if line != "job"] == order
        assert notes(tmp_path).count("job") == 1
        assert notes(tmp_path)[-1] == "exit function"
