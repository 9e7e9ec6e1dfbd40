"""Reloads, upgrades and takeovers one after another, under load: zero in every class of loss."""

from pathlib import Path

import psutil
import pytest

from tests.harness.load import KINDS, LoadProcess
from tests.harness.load_site import DISTURBANCES, LoadSite, seed

pytestmark = [pytest.mark.soak, pytest.mark.timeout(180)]


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_no_client_notices(tmp_path: Path, disturbance: str, kind: str, workers: int) -> None:
    disturb, options, times = DISTURBANCES[disturbance]
    with LoadSite(tmp_path, kind, workers, *options) as site:
        with LoadProcess(site.url, seconds=170, clients=150, seed=seed()) as load:
            load.wait_answers()
            for number in range(2, 2 + times):
                site.code.write(str(number))
                disturb(site)
        assert load.report.losses == {}, load.report.incidents
        assert set(load.report.versions) <= {str(number) for number in range(1, 2 + times)}
        arbiter = site.arbiter
        assert arbiter is not None
        site.until(lambda: len(site.processes()) == 1 + workers, "only those that serve are left")
        assert arbiter.num_fds() < 40 + 4 * workers, descriptors(arbiter)


def descriptors(process: psutil.Process) -> list[str]:
    """What it has open, for the one who looks for a leak."""
    found = []
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:
            continue
    return found
