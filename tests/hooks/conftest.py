"""A server whose configuration writes down each call of a hook."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyfork.config.config import SETTINGS
from pyfork.config.settings.hooks import HookSettings
from tests.harness.server import Server

NAMES = [name for name in vars(HookSettings) if not name.startswith("_")]

_TELL = """
import json, os
def tell(name, server=None, worker=None, **more):
    if server is not None:
        more.update(workers=sorted(server.WORKERS), count=server.num_workers, server=server.pid)
    if worker is not None:
        more.update(worker=worker.pid, age=worker.age, nr=worker.nr, slot=worker.slot)
    line = json.dumps({"name": name, "pid": os.getpid(), **more}) + "\\n"
    fd = os.open(%r, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, line.encode())
    os.close(fd)
"""
_MORE = {
    "nworkers_changed": "new=new, old=old",
    "pre_request": "method=req.method, uri=req.uri, path=req.path, agent=dict(req.headers)"
    ".get('X-AGENT'), version=req.version; req.mark = 'kept'",
    "post_request": "mark=req.mark, status=resp.status, sent=resp.sent, "
    "info=environ.get('PATH_INFO'), kind=dict(resp.headers).get('X-Kind')",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a hook."""

    name: str
    pid: int
    said: dict[str, Any]


class Place:
    """A directory with a configuration."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack

    def write(self, *, file: str = "pyfork.conf.py", also: str = "", **bodies: str) -> None:
        """A configuration in which each hook tells of its calls; ``bodies`` are run after that."""
        parts = [_TELL % str(self.directory / "calls"), also]
        for name in NAMES:
            if name == "ssl_context":
                continue
            parameters = SETTINGS[name].kind.expects.partition("(")[2].rstrip(")")
            given = [f"{each}={each}" for each in ("server", "worker") if each in parameters]
            first, _, then = _MORE.get(name, "").partition("; ")
            told = ", ".join([repr(name), *given, *([first] if first else [])])
            lines = [f"tell({told})", then, bodies.get(name, "")]
            body = "\n    ".join(line for line in lines if line)
            parts.append(f"def {name}({parameters}):\n    {body}\n")
        (self.directory / file).write_text("\n".join(parts))

    def serve(self, app: str = "tests.apps.wsgi:app", *options: str, **more: Any) -> Server:
        """A server with this directory's configuration."""
        server = Server(app, *options, directory=self.directory, cwd=self.directory, **more)
        return self._stack.enter_context(server)

    @property
    def calls(self) -> list[Call]:
        """What was told so far."""
        path = self.directory / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [Call(each.pop("name"), each.pop("pid"), each) for each in found]

    def of(self, name: str) -> list[Call]:
        """The calls of one hook."""
        return [each for each in self.calls if each.name == name]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


def is_gone(pid: int) -> bool:
    """Whether there is no such process."""
    return not os.path.exists(f"/proc/{pid}")
