"""The wall clock jumps by days, both ways, under load: nothing is killed, restarted or lost."""

from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests import programs
from tests.harness.load import LoadProcess
from tests.harness.load_site import LoadSite, seed

pytestmark = [pytest.mark.soak, pytest.mark.timeout(180)]

JUMPS = ("+10d", "-10d", "+3h", "-1h", "+0")


@pytest.mark.parametrize("kind", ["sync", "asgi-uvloop", "asgi-asyncio"])
def test_nothing_happens(tmp_path: Path, kind: str) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    env = {
        "LD_PRELOAD": programs.need("libfaketime"),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    # Limits that an hour would break at once, and that are kept as they are.
    limits = ("--timeout", "5", "--keep-alive", "5", "--header-timeout", "5")
    with LoadSite(tmp_path, kind, 2, *limits, env=env) as site:
        before = {process.pid for process in site.processes()}
        # Nothing slow: libfaketime breaks the sleep of a WSGI application, EINVAL.
        with LoadProcess(site.url, seconds=60, clients=60, slow=0, seed=seed()) as load:
            load.wait_answers()
            for jump in JUMPS:
                at = site.date()
                fresh = clock.with_suffix(".new")
                fresh.write_text(jump)
                fresh.replace(clock)
                site.until(lambda at=at: apart(site.date(), at) > 1800, "the clock has jumped")  # type: ignore[misc]
                served = site.date()
                site.until(lambda since=served: apart(site.date(), since) >= 3, "3 s pass")  # type: ignore[misc]
        assert load.report.losses == {}, load.report.incidents
        assert {process.pid for process in site.processes()} == before
        assert "ERROR" not in site.log


def apart(one: str, other: str) -> float:
    """Seconds between two Date fields."""
    return abs((parsedate_to_datetime(one) - parsedate_to_datetime(other)).total_seconds())
