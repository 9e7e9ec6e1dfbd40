"""Instructions per request: what a change costs, where time is too noisy to tell.

    python -m tests.bench.instructions [CASE ...] [--record] [--loop uvloop]

Each case runs one worker's engine (`one_worker`) under callgrind and sends it N, then 2N requests
on one connection; the difference is what N of them cost, with no start, client or kernel in it.
The figures depend on CPython and the libraries: compare what one environment gave. Beside the
recorded figures of `instructions.json` they are printed; 3 % more is an error.
"""

import argparse
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.bench.content import BIG, BROWSER, VARIED, VARYING

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.03
WARM_UP = 100  # requests, for CPython to specialise its bytecode
N = 100
LAST_CHUNK = b"\r\n0\r\n\r\n"
PATIENCE = 240.0  # seconds for one answer; under callgrind all is fifty times slower


@dataclass(frozen=True)
class Case:
    """What is sent to which application."""

    app: str
    request: bytes
    options: tuple[str, ...] = ()  # of the server


def request(
    method: str = "GET",
    path: str = "/",
    fields: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> bytes:
    """A whole request as bytes; {n} in it becomes another number each time."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1:8000"]
    lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


METRICS = ("--status-bind", "127.0.0.1:0")

CASES = {
    "wsgi bare": Case("tests.bench.apps.wsgi:hello", request()),
    "wsgi bare metrics": Case("tests.bench.apps.wsgi:hello", request(), METRICS),
    "wsgi browser": Case("tests.bench.apps.wsgi:hello", request(fields=BROWSER)),
    "wsgi varied": Case("tests.bench.apps.wsgi:hello", request(path=VARIED, fields=VARYING)),
    "wsgi post": Case("tests.bench.apps.wsgi:echo", request("POST", body=BIG)),
    "wsgi bare h11": Case("tests.bench.apps.wsgi:hello", request(), ("--http", "h11")),
    "wsgi browser h11": Case(
        "tests.bench.apps.wsgi:hello", request(fields=BROWSER), ("--http", "h11")
    ),
    "wsgi stream": Case("tests.bench.apps.wsgi:stream", request()),
    "asgi bare": Case("tests.bench.apps.asgi:hello", request()),
    "asgi bare metrics": Case("tests.bench.apps.asgi:hello", request(), METRICS),
    "asgi browser": Case("tests.bench.apps.asgi:hello", request(fields=BROWSER)),
    "asgi varied": Case("tests.bench.apps.asgi:hello", request(path=VARIED, fields=VARYING)),
    "asgi stream": Case("tests.bench.apps.asgi:stream", request()),
}


def count(case: Case, loop: str) -> int:
    """Instructions that one request takes."""
    with (
        tempfile.TemporaryDirectory() as directory,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), PATIENCE) as client,
        listener.accept()[0] as served,
    ):
        dump = Path(directory) / "dump"
        worker = subprocess.Popen(
            [
                *callgrind(dump),
                "-m",
                "tests.bench.one_worker",
                case.app,
                loop,
                str(served.fileno()),
                *case.options,
            ],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[served.fileno()],
        )
        served.close()
        with worker:
            try:
                for requests in (WARM_UP, N, 2 * N):
                    ask(client, case.request, requests)
                    mark(worker)
            except OSError:
                worker.kill()
                _, errors = worker.communicate()
                raise SystemExit(f"{case.app} does not answer:\n{errors.decode()}") from None
            client.close()
            worker.communicate(timeout=PATIENCE)
        once, twice = (total(dump.with_suffix(f".{number}")) for number in (2, 3))
        return round((twice - once) / N)


def callgrind(dump: Path) -> list[str]:
    """The command before the program's; it writes DUMP.1, DUMP.2... at each getppid."""
    tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={dump}"]
    return [*tool, "--dump-before=getppid", sys.executable]


def ask(client: socket.socket, message: bytes, times: int) -> None:
    """Send it so many times, each when the one before is answered. Raises OSError."""
    for number in range(times):
        client.sendall(message.replace(b"{n}", b"%06d" % number))
        head, _, body = client.recv(65536).partition(b"\r\n\r\n")
        length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(head)
        while len(body) < int(length[1]) if length else not body.endswith(LAST_CHUNK):
            piece = client.recv(65536)
            if not piece:
                raise ConnectionError("the connection ended within a response")
            body += piece


def mark(worker: "subprocess.Popen[bytes]") -> None:
    """End a stretch: the worker calls getppid."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(b".")
    worker.stdin.flush()
    if not worker.stdout.read(1):
        raise ConnectionError("the worker has ended")


def total(dump: Path) -> int:
    """The instructions that a dump of callgrind sums up."""
    found = re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)
    assert found, dump
    return int(found[1])


def environment(loop: str) -> dict[str, str]:
    """What the figures depend on besides our code."""
    libraries = {name: version(name) for name in ("httptools", "uvloop")}
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"python": python, "machine": platform.machine(), "loop": loop, **libraries}


def report(counts: Mapping[str, int], recorded: Mapping[str, int]) -> bool:
    """Print them beside the recorded ones; whether one is too high."""
    worse = False
    print(f"{'instructions per request':26}{'now':>10}{'recorded':>10}{'change':>9}")
    for name, now in counts.items():
        before = recorded.get(name)
        change = now / before - 1 if before else 0.0
        high = change > TOLERANCE
        worse = worse or high
        print(
            f"{name:26}{now:10,}{before if before else '-':>10{',' if before else ''}}"
            f"{change:+9.1%}{'  too many' if high else ''}"
        )
    return worse


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(description="Instructions per request, under callgrind.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)}")
    parser.add_argument(
        "--record", action="store_true", help="make these the figures to compare with"
    )
    parser.add_argument("--loop", default="uvloop", choices=("uvloop", "asyncio"))
    options = parser.parse_args(arguments)
    chosen = options.cases or list(CASES)
    if unknown := set(chosen) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if not shutil.which("valgrind"):
        parser.error("valgrind is needed: apt-get install valgrind")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda name: count(CASES[name], options.loop), chosen)
        counts = dict(zip(chosen, found, strict=True))
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {"environment": {}, "counts": {}}
    here = environment(options.loop)
    same = known["environment"] == here
    if not same and known["counts"]:
        print(f"recorded elsewhere, so not compared: {known['environment']}; here {here}")
    recorded = known["counts"] if same else {}
    worse = report(counts, recorded)
    if options.record:
        figures = {"environment": here, "counts": {**recorded, **counts}}
        RECORD.write_text(json.dumps(figures, indent=2) + "\n")
        return 0
    return int(worse)


if __name__ == "__main__":
    sys.exit(main())
