"""An application under pyfork and under the reference server: one visit, or a whole life."""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.realworld.load import CLIENTS, Load
from tests.end_to_end.realworld.reference import Reference
from tests.end_to_end.realworld.visit import Seen, Visit, difference, make
from tests.harness.server import Server

# Kinds of worker, and the options that make them.
KINDS: dict[str, tuple[str, ...]] = {
    "sync": ("-k", "sync", "-w", "2"),
    "thread": ("-k", "thread", "--threads", "8", "-w", "2"),
    "asgi": ("-k", "asgi", "-w", "2"),
    "asgi-asyncio": ("-k", "asgi", "-w", "2", "--loop", "asyncio"),
}

BOOT = 60.0  # seconds that a generation may take to boot beside a load

# What an operator would have to look at.
_TROUBLE = re.compile(
    r"^.*(?:\[(?:WARNING|ERROR|CRITICAL)\]|Traceback|Exception in|Exception ignored|was never).*$",
    re.MULTILINE,
)
_WANTED = ("/boom", "Traceback")


@dataclass(frozen=True, slots=True)
class Subject:
    """An application and how it is visited.

    Args:
        app: as on pyfork's command line.
        reference: arguments of the interpreter that start the server of its documentation.
        visit: what a client does.
        env: environment of the application, the same under either server.
        options: more of pyfork's command line.
        errors: the visit asks for what fails in the application, such as /boom.
        keeps: the client of the visit keeps its connections.
        noise: parts of lines that the application's libraries log under other servers too.
    """

    app: str
    reference: Sequence[str]
    visit: Visit
    env: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    errors: bool = False
    keeps: bool = False
    noise: tuple[str, ...] = ()

    def serve(self, kind: str, directory: Path) -> Server:
        """pyfork with this application, not started yet."""
        options = (*KINDS[kind], *self.options)
        return Server(self.app, *options, directory=directory, env=self.env)

    def expected(self, directory: Path) -> list[Seen]:
        """What a client sees of the reference server."""
        with Reference(self.reference, directory=directory, env=self.env) as reference:
            return make(self.visit, reference.url)


def prove_visit(subject: Subject, kind: str, directory: Path) -> None:
    """One visit sees what the reference server shows."""
    expected = subject.expected(directory)
    with subject.serve(kind, directory) as server:
        wrong = difference(expected, make(subject.visit, server.urls[0]))
        assert not wrong, wrong
    assert_quiet(subject, server)


def prove_life(
    subject: Subject,
    kind: str,
    directory: Path,
    *,
    clients: int = CLIENTS,
    reload: bool = True,
) -> None:
    """So does each of many clients, also during a reload and a stop.

    Args:
        reload: not for an application that keeps in its memory what clients made there.
    """
    expected = subject.expected(directory)
    with subject.serve(kind, directory) as server:
        wrong = difference(expected, make(subject.visit, server.urls[0]))
        assert not wrong, wrong
        url, keeps = server.urls[0], subject.keeps
        with Load(url, subject.visit, expected, clients=clients, keeps=keeps) as load:
            load.wait_visits(1)
            if reload:
                load.reloading()
                server.signal(signal.SIGHUP)
                server.until(lambda: "generation 2 serves" in server.log, "it serves", BOOT)
                load.wait_visits(1)
            load.stopping()
            server.signal(signal.SIGTERM)
            load.wait_refused()
            assert server.wait() == 0
        assert not load.incidents, load.report
    assert_quiet(subject, server)


def assert_quiet(subject: Subject, server: Server) -> None:
    """Nothing that an operator would have to look at is in the log, but for what was asked for."""
    found = _TROUBLE.findall(server.log)
    wanted = subject.noise + (_WANTED if subject.errors else ())
    assert not [line for line in found if not any(each in line for each in wanted)]
