"""``pyfork run --reload``: a script is edited, breaks, and is healed."""

import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dev.project import PATIENCE, Project
from tests.harness.ports import free_port
from tests.harness.script import Script


class Stall(Script):
    """The project's script."""

    def __init__(self, project: Project, *options: str) -> None:
        directory = project.directory.parent
        self.number = free_port()
        super().__init__(
            "stall.py",
            str(self.number),
            workers=2,
            options=("--reload", "--control", "off", *options),
            directory=directory,
            cwd=project.directory,
            ready=False,
        )
        self._environ.pop("PYTHONDONTWRITEBYTECODE", None)

    def ask(self, host: str = "localhost") -> tuple[int, str]:
        """Status and body; zero if nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.number, timeout=PATIENCE)
        try:
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read().decode()
        except ConnectionRefusedError:
            return 0, ""
        finally:
            connection.close()

    def answers(self, status: int, text: str) -> None:
        def found() -> bool:
            got, body = self.ask()
            return got == status and text in body

        self.until(found, f"it answers {status} {text!r}", PATIENCE)


@pytest.fixture
def stall(project: Project) -> Iterator[Stall]:
    with Stall(project) as stall:
        yield stall


def test_a_script_is_edited_broken_and_healed(project: Project, stall: Stall) -> None:
    stall.answers(200, "one")
    project.price("two")
    stall.answers(200, "two")
    for broken in ("TEXT = missing\n", "import sys\nsys.exit('closed')\n", "TEXT = (\n"):
        project.write("goods/prices.py", broken)
        stall.answers(500, "stall.py")
        project.price("healed")
        stall.answers(200, "healed")
    project.write("goods/prices.py", "raise SystemExit\n")
    stall.answers(500, "stall.py ended with status 0 before it listened")
    project.write("goods/prices.py", "TEXT = undefined\n")
    stall.answers(500, "NameError: name 'undefined' is not defined")


def test_a_script_whose_first_start_is_broken(project: Project) -> None:
    project.write("goods/prices.py", "TEXT = missing\n")
    with Stall(project) as stall:
        stall.wait_log("NameError: name 'missing' is not defined")
        stall.wait_log("is ready after", 2)
        assert stall.ask() == (0, "")  # nobody knows yet where it listens
        project.price("healed")
        stall.answers(200, "healed")


def test_without_reload_a_broken_script_ends_it(project: Project, tmp_path: Path) -> None:
    project.write("goods/prices.py", "TEXT = missing\n")
    script = Script("stall.py", "0", directory=tmp_path, cwd=project.directory, ready=False)
    script._command = [sys.executable, "-m", "pyfork", "run", "stall.py", "--", "0"]
    with script as stall:
        assert stall.wait() == 3


def test_another_name_sees_no_source(project: Project, stall: Stall) -> None:
    stall.answers(200, "one")
    project.write("goods/prices.py", "password = 'hunter2'; raise ValueError(password)\n")
    stall.answers(500, "hunter2")
    status, body = stall.ask("evil.example")
    assert (status, "ValueError" in body, "hunter2" in body) == (500, True, False)
    assert "goods" not in body
