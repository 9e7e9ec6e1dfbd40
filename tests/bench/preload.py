"""What --preload saves: memory, the time without a worker, and the CPU of a reload.

    python -m tests.bench.preload [CASE ...] [--workers 8]

The projects are those of tests/end_to_end/realworld: Django with admin, REST framework and models;
FastAPI with pydantic models and SQLAlchemy. They need the extra ``realworld``.

    memory-django, memory-fastapi   PSS of all processes at rest and after 1,000 requests, and how
                                    long until the first answer
    replace                         how long after kill -9 of a worker another one is ready
    reload-8                        wall and CPU time of a reload of all workers
    rollback                        how long the change back to the former generation takes
"""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil

from pyfork.ctl.client import ControlClient
from tests.bench.peers import Peer, Start
from tests.bench.running import PATIENCE, ROOT, Running
from tests.harness.ports import free_port

REQUESTS = 1000
MIB = 1 << 20


@dataclass(frozen=True)
class Project:
    """A real application, and a path of it that asks its database."""

    app: str
    path: str
    options: tuple[str, ...]  # of pyfork and gunicorn
    prepare: tuple[str, ...]  # arguments of Python
    variable: str  # of the environment: the directory or file of its data
    file: str = ""
    warm_up: str = ""


DJANGO = Project(
    app="tests.end_to_end.realworld.apps.shop.wsgi:application",
    path="/api/products/",
    options=("--threads", "4"),
    prepare=("-m", "tests.end_to_end.realworld.apps.shop.prepare"),
    variable="SHOP_DIRECTORY",
    warm_up="/api/products/",
)
FASTAPI = Project(
    app="tests.end_to_end.realworld.apps.fastapi_shop:app",
    path="/notes/ann",
    options=(),
    prepare=(
        "-c",
        "import asyncio; from tests.end_to_end.realworld.apps import fastapi_shop as shop; "
        "asyncio.run(shop.prepare())",
    ),
    variable="FASTAPI_SHOP",
    file="shop.sqlite3",
)


def servers(project: Project) -> dict[str, tuple[str, ...]]:
    """The command lines to compare, without address, workers and application."""
    preload = ("--preload", "--warmup", project.warm_up) if project.warm_up else ("--preload",)
    worker = () if project.options else ("-k", "asgi")
    interface = "wsgi" if project.options else "asgi"
    return {
        "pyfork": ("pyfork", *project.options),
        f"pyfork {' '.join(preload)}": ("pyfork", *project.options, *preload),
        "gunicorn": ("gunicorn", *worker, *project.options),
        "gunicorn --preload": ("gunicorn", *worker, *project.options, "--preload"),
        "granian": ("granian", "--interface", interface),
    }


@contextmanager
def serving(
    project: Project, command: tuple[str, ...], workers: int, *options: str
) -> Iterator[tuple[Running, float]]:
    """A server, and the seconds until it gave its first answer."""
    package = command[0]

    def words(start: Start) -> tuple[str, ...]:
        if package == "granian":
            place = ("--port", f"{start.port}", "--workers", f"{start.workers}")
        else:
            place = ("-b", f"127.0.0.1:{start.port}", "-w", f"{start.workers}")
        return (*command, *options, *place, start.app)

    with tempfile.TemporaryDirectory() as place:
        env = {project.variable: str(Path(place, project.file))}
        environ = os.environ | {"PYTHONPATH": str(ROOT)} | env
        subprocess.run([sys.executable, *project.prepare], cwd=ROOT, env=environ, check=True)
        start = Start(project.app, free_port(), workers)
        peer = Peer(package, "", words)
        began = time.monotonic()
        with Running(peer, start, os.sched_getaffinity(0), env) as running:
            running.wait_answers()
            yield running, time.monotonic() - began


def memory(project: Project, workers: int) -> None:
    for name, command in servers(project).items():
        if importlib.util.find_spec(command[0]) is None:
            continue
        with serving(project, command, workers) as (running, first):
            running.wait_rest()
            rest = running.memory() / MIB
            for _ in range(REQUESTS):
                with urlopen(f"http://127.0.0.1:{running.port}{project.path}") as answer:
                    answer.read()
            used = running.memory() / MIB
        print(f"  {name:45} first answer {first:5.1f} s, {rest:4.0f} MiB, then {used:4.0f} MiB")


def both(project: Project) -> Iterator[tuple[str, tuple[str, ...]]]:
    """pyfork without and with --preload."""
    commands = servers(project)
    return ((name, commands[name]) for name in commands if name.startswith("pyfork"))


@contextmanager
def controlled(
    command: tuple[str, ...], workers: int, *options: str
) -> Iterator[tuple[psutil.Process, ControlClient]]:
    """The Django project on all workers, and a connection to its arbiter."""
    with tempfile.TemporaryDirectory() as place:
        path = str(Path(place, "control"))
        with serving(DJANGO, command, workers, "--control", path, *options) as (running, _):
            client = ControlClient(path).read_status(PATIENCE)
            wait(lambda: len(pids(client)) == workers)
            yield psutil.Process(running.pid), client
            client.close()


def pids(client: ControlClient) -> set[int]:
    """The processes of the workers that serve."""
    (answer,) = client.ask("status")
    return {each["pid"] for each in answer["status"]["workers"] if each["state"] == "serving"}


def wait(condition: Callable[[], bool], pause: float = 0.002) -> float:
    """Seconds until a condition holds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError
        time.sleep(pause)
    return time.monotonic() - began


def _wait_for_another(client: ControlClient, known: set[int]) -> float:
    return wait(lambda: not pids(client) <= known)


def cpu(arbiter: psutil.Process) -> float:
    """Seconds of CPU time of all processes of a server, those that have ended too."""
    times = [arbiter.cpu_times()]
    ended = times[0].children_user + times[0].children_system
    times += [child.cpu_times() for child in arbiter.children(recursive=True)]
    return ended + sum(each.user + each.system for each in times)


def replace(workers: int) -> None:
    for name, command in both(DJANGO):
        with controlled(command, workers) as (_, client):
            before = pids(client)
            os.kill(min(before), signal.SIGKILL)
            took = _wait_for_another(client, before)
        print(f"  {name:45} the slot serves again after {took * 1000:5.0f} ms")


def reload(workers: int) -> None:
    for name, command in both(DJANGO):
        with controlled(command, workers) as (arbiter, client):
            first = cpu(arbiter)
            began = time.monotonic()
            list(client.ask("reload", wait=True))
            took = time.monotonic() - began
            wait(lambda: len(arbiter.children()) in (workers, workers + 1))
            used = cpu(arbiter) - first
        print(f"  {name:45} wall {took:5.2f} s, CPU {used:5.2f} s")


def rollback(workers: int) -> None:
    _, command = list(both(DJANGO))[-1]
    with controlled(command, workers, "--keep-previous") as (_, client):
        list(client.ask("reload", wait=True))
        began = time.monotonic()
        list(client.ask("rollback", wait=True))
        print(f"  the former generation serves after {(time.monotonic() - began) * 1000:.0f} ms")


CASES: dict[str, Callable[[int], None]] = {
    "memory-django": lambda workers: memory(DJANGO, workers),
    "memory-fastapi": lambda workers: memory(FASTAPI, workers),
    "replace": replace,
    "reload-8": reload,
    "rollback": rollback,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.preload")
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], metavar="CASE")
    parser.add_argument("--workers", type=int, default=8)
    given = parser.parse_args()
    for case in given.cases or CASES:
        print(f"{case}, {given.workers} workers:", flush=True)
        CASES[case](given.workers)


if __name__ == "__main__":
    main()
