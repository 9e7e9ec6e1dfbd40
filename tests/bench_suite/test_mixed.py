"""The bench of quick requests beside slow ones: clients of servers that keep connections or not."""

import asyncio

import pytest

from tests.bench.mixed import blocked, load, serving


@pytest.mark.soak
@pytest.mark.parametrize("name", ["pyfork", "gunicorn-sync"])
def test_every_answer_is_counted(name: str) -> None:
    with serving(name, "sync", ("--timeout", "0")) as port:
        figures = asyncio.run(load(port, 0.5, clients=6, often=0.2))
        assert not figures.errors
        assert len(figures.took) == len(figures.spans) > 6
        assert figures.slow
        assert asyncio.run(blocked(port, seconds=0.3))[1] == 23
