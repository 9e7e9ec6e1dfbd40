"""Certificates and code change under load: nobody loses a request."""

import os
import signal
from pathlib import Path

import pytest

from tests.end_to_end.load.outcomes import Outcome
from tests.end_to_end.tls.authority import Authority, shown
from tests.harness.load import KINDS, Code, LoadProcess, reload, serve
from tests.harness.server import Server

QUICK = {"clients": 30, "think": 0.3, "pause": 0.3, "slowest": 0.3, "slow": 0.02, "stream": 0.01}


def rotate(server: Server, authority: Authority, count: int) -> None:
    """Put new certificates in place, one after the other, and see each of them served."""
    client = authority.client()
    for _ in range(count):
        before = shown(server, client)
        authority.issue("127.0.0.1", "localhost")
        server.until(lambda: shown(server, client) != before, "a new certificate is shown")  # noqa: B023


@pytest.mark.parametrize("kind", ["sync", "asgi-uvloop"])
def test_certificates_change_under_load(tmp_path: Path, kind: str) -> None:
    """No connection is closed, and no worker replaced."""
    authority, code = Authority(tmp_path), Code(tmp_path)
    with serve(code, kind, 2, tmp_path, *authority.options()) as server:
        workers = {each.pid for each in server.workers()}
        with LoadProcess(server.urls[0], ca=authority.file, seconds=60, **QUICK) as load:
            load.wait_answers()
            rotate(server, authority, 1)
        assert load.report.losses == {}, load.report.incidents
        assert {each.pid for each in server.workers()} == workers


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_twenty_times(tmp_path: Path, kind: str) -> None:
    authority, code = Authority(tmp_path), Code(tmp_path)
    with serve(code, kind, 2, tmp_path, *authority.options()) as server:
        with LoadProcess(server.urls[0], ca=authority.file, seconds=280, **QUICK) as load:
            load.wait_answers()
            rotate(server, authority, 20)
        assert load.report.losses == {}, load.report.incidents


@pytest.mark.parametrize(
    "kind",
    [
        "thread",
        "asgi-asyncio",
        pytest.param("sync", marks=pytest.mark.soak),
        pytest.param("asgi-uvloop", marks=pytest.mark.soak),
    ],
)
def test_reloads_under_load(tmp_path: Path, kind: str) -> None:
    """Connections stay with their worker: clients are told to close, and that is all."""
    authority, code = Authority(tmp_path), Code(tmp_path)
    with serve(code, kind, 2, tmp_path, *authority.options()) as server:
        with LoadProcess(server.urls[0], ca=authority.file, seconds=60, **QUICK) as load:
            load.wait_answers()
            for generation in (2, 3):
                reload(server, code, generation)
        assert load.report.losses.keys() <= {Outcome.TOLD_TO_CLOSE}, load.report.incidents


def test_an_upgrade_under_load(tmp_path: Path) -> None:
    authority, code = Authority(tmp_path), Code(tmp_path)
    options = [*authority.options(), "--upgrade-mode", "exec"]
    with serve(code, "asgi-uvloop", 2, tmp_path, *options) as server:
        with LoadProcess(server.urls[0], ca=authority.file, seconds=60, **QUICK) as load:
            load.wait_answers()
            server.signal(signal.SIGUSR2)
            server.wait_log("generation 2 serves")
        assert load.report.losses.keys() <= {Outcome.TOLD_TO_CLOSE}, load.report.incidents


def test_what_cannot_be_used_is_told_once_and_changes_nothing(tmp_path: Path) -> None:
    """Not even for a worker that is forked meanwhile. What can be used again is taken up."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("127.0.0.1")
    options = ["--certfile", certificate, "--keyfile", key, "-w", "2"]
    with Server("tests.apps.secure:wsgi", *options, directory=tmp_path, clean=False) as server:
        client = authority.client()
        before = shown(server, client)
        Path(key).write_text("nothing")
        server.wait_log("cannot use the certificates on the disk, the previous ones stay in use:")
        for worker in server.workers():
            worker.kill()
        server.wait_log("is ready after", 4)
        assert shown(server, client) == before
        assert server.log.count("cannot use the certificates") == 1
        authority.issue("127.0.0.1")
        server.until(lambda: shown(server, client) != before, "the new certificate is shown")


def test_the_rights_to_read_a_key_can_be_given_up(tmp_path: Path) -> None:
    """The key is the starter's alone, and the workers are not: what is new reaches them still."""
    if os.geteuid():
        pytest.skip("only root can change its user")
    authority = Authority(tmp_path)
    options = [*authority.options(), "--user", "nobody"]
    Path(tmp_path, "site.key").chmod(0o600)
    with Server("tests.apps.secure:wsgi", *options, directory=tmp_path) as server:
        assert server.workers()[0].uids().real != 0
        rotate(server, authority, 1)
