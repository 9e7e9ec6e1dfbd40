"""Behind a proxy that keeps its connections, a reload or an upgrade is nothing to see: no 502.

The proxies are told not to ask again, which would hide what is looked for here.
"""

from pathlib import Path

import pytest

from tests.end_to_end.proxies.reverse_proxies import front
from tests.harness.load import LoadProcess
from tests.harness.load_site import DISTURBANCES, LoadSite, seed

# By proxy: the kind of worker, how it is reached, and how it upgrades.
WAYS = [
    ("nginx", "asgi-uvloop", "unix", "spawn"),
    ("nginx", "thread", "tcp", "exec"),
    ("haproxy", "sync", "tcp", "spawn"),
]
MORE_WAYS = [
    *WAYS,
    ("nginx", "sync", "unix", "exec"),
    ("nginx", "asgi-asyncio", "tcp", "spawn"),
    ("haproxy", "asgi-uvloop", "unix", "exec"),
    ("haproxy", "thread", "tcp", "spawn"),
]
LOAD = {"think": 0.2, "pause": 0.2, "slowest": 0.3, "slow": 0.02, "stream": 0.01}


@pytest.mark.parametrize(("kind", "worker", "transport", "mode"), WAYS)
def test_a_few(tmp_path: Path, kind: str, worker: str, transport: str, mode: str) -> None:
    words = ["hup", "hup", f"usr2-{mode}", "hup"]
    undisturbed(tmp_path, (kind, worker, transport, mode), words, clients=40)


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "worker", "transport", "mode"), MORE_WAYS)
def test_many(tmp_path: Path, kind: str, worker: str, transport: str, mode: str) -> None:
    upgrades = [f"usr2-{mode}", "takeover"] * 3
    words = [each for upgrade in upgrades for each in ("hup", "hup", upgrade, "hup", "hup")]
    undisturbed(tmp_path, (kind, worker, transport, mode), words, clients=80)


def undisturbed(directory: Path, way: tuple[str, ...], words: list[str], clients: int) -> None:
    """Do what ``words`` say under load, one after the other; no client may notice."""
    kind, worker, transport, mode = way
    place = f"unix:{directory}/shop.sock"
    with LoadSite(directory, worker, 2, "-b", place, "--upgrade-mode", mode) as site:
        upstream = place if transport == "unix" else f"127.0.0.1:{site.port}"
        with front(kind, upstream, directory, strict=True) as found:
            with LoadProcess(found.url, seconds=280, clients=clients, seed=seed(), **LOAD) as load:
                load.wait_answers()
                for number, word in enumerate(words):
                    site.code.write(f"after {number}")
                    DISTURBANCES[word][0](site)
            assert load.report.losses == {}, load.report.incidents
            assert len(load.report.versions) > 1
