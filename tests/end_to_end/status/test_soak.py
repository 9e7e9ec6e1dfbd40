"""Counters under load, through 20 replacements of workers, 5 reloads and an upgrade in place."""

import threading
from pathlib import Path

import pytest

from tests.end_to_end.status.test_metrics import (
    CODES,
    Status,
    Values,
    _ready,
    _run,
    counters,
    serve,
    total,
)
from tests.harness.ports import free_port


@pytest.mark.soak
def test_counters_equal_what_clients_counted(tmp_path: Path) -> None:
    (tmp_path / "codes.py").write_text(CODES)
    port = free_port()
    with serve(tmp_path, port, "-w", "2", "--upgrade-mode", "exec", "-n", f"soak-{port}") as server:
        status, stop, sent, lost = Status(port), threading.Event(), [0], [0]

        def load() -> None:
            while not stop.is_set():
                try:
                    assert server.get("/200").status == 200
                except OSError:
                    lost[0] += 1
                else:
                    sent[0] += 1

        before: Values = {}

        def look() -> None:
            nonlocal before
            try:
                values = status.values()
            except OSError:  # the old program's status server has ended, the next one not begun
                return
            now = dict(counters(values))
            assert {key for key, value in counters(before) if now.get(key, 0) < value} == set()
            before = values

        client = threading.Thread(target=load)
        client.start()
        try:
            for command in [*["restart"] * 5, "upgrade", *["reload"] * 5, *["restart"] * 5]:
                _run(server, command)
                server.until(lambda: _ready(status), "it is ready")
                look()
        finally:
            stop.set()
            client.join()
        server.until(
            lambda: (look(), total(before, "pyfork_requests_total"))[1] == sent[0],
            "every request is counted once",
        )
        assert lost == [0]
        assert total(before, "pyfork_reloads_total", outcome="succeeded") == 5
        assert total(before, "pyfork_worker_ends_total", reason="left") == 32
