"""The wall clock jumps; so what it says may be shown, and must decide nothing."""

import ast
from pathlib import Path

from tests.harness.server import ROOT

WALL = {"time.time", "time.time_ns", "time.localtime", "time.gmtime"}
WALL |= {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}

SHOWN = {
    "pyfork/log/access_format.py": "the time of day in the access log",
    "pyfork/log/formatter.py": "the time of day in the error log",
    "pyfork/log/terminal.py": "the time of day on a terminal",
    "pyfork/http/response/date.py": "the text of the Date field",
    "pyfork/http/connection/engine.py": "the Date field, at the beginning",
    "pyfork/worker/engine_worker.py": "the Date field, every second",
    "pyfork/http/connection/queue_time.py": "X-Request-Start, which a proxy on this host sets",
    "pyfork/http/request_ids.py": "the part of a UUIDv7 by which ids are sorted",
    "pyfork/dev/errors/servers.py": "the same, of the error page",
    "pyfork/arbiter/reporting/history.py": "the time of day of an event in `pyfork history`",
    "pyfork/ctl/history.py": "the same, as text",
    "pyfork/status/pages.py": "the time of a scrape, in the metrics",
    # Files and certificates tell the time of day. What is decided by them is whether to look again
    # (development), whether to keep bytecode, and what a warning says.
    "pyfork/arbiter/children/watcher.py": "what was saved since a worker began to load it",
    "pyfork/dev/watcher.py": "whether a file was saved just now",
    "pyfork/dev/bytecode.py": "whether a file was saved just now",
    "pyfork/net/tls/context.py": "a certificate that has expired, in a warning",
    "pyfork/ctl/doctor.py": "a certificate that is about to expire",
}


def uses(path: Path) -> set[str]:
    """The names of the wall clock that a module mentions."""
    tree = ast.parse(path.read_text())
    found = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    short = {".".join(name.split(".")[-2:]) for name in found | imported}
    return short & WALL


def test_the_wall_clock_is_only_shown() -> None:
    modules = sorted((ROOT / "pyfork").rglob("*.py"))
    assert modules
    found = {str(path.relative_to(ROOT)): names for path in modules if (names := uses(path))}
    assert set(found) <= set(SHOWN), f"use time.monotonic: {found}"


def test_a_use_is_found(tmp_path: Path) -> None:
    for line in ("import time\nnow = time.time()", "from time import time\nnow = time()"):
        path = tmp_path / "module.py"
        path.write_text(line)
        assert uses(path) == {"time.time"}
