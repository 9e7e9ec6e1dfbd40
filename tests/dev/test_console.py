"""What a person at a terminal sees, and what a log file has all the same."""

import re

import pytest

from tests.dev.project import Development, Project
from tests.dev.terminal import Terminal


def test_development_on_a_terminal(project: Project) -> None:
    options = ("--reload", "-w", "2", "-b", "127.0.0.1:0", "shop:app")
    with Terminal(project.directory, *options, env={"NO_COLOR": "1"}) as terminal:
        told = terminal.wait(r"(?s)is ready after \d+ ms\n(.*Ctrl-C)\n")[1]
        assert re.search(r"open +http://127\.0\.0\.1:[1-9]\d+\n", told)
        assert re.search(r"app +shop:app \(WSGI\)\n", told)
        assert re.search(r"workers +2 of class sync\n", told)
        assert re.search(r"reload +when a file in this directory changes\n", told)
        project.price("two")
        terminal.wait(r"\d\d:\d\d:\d\d reloaded in \d+ ms: goods/prices\.py changed\n")
        project.write("goods/prices.py", "TEXT = missing\n")
        terminal.wait(r"the application does not load: .*NameError")
        terminal.wait(r"goods/prices\.py changed, and the application does not load")
        assert "\x1b" not in terminal.shown
        assert "generation" not in terminal.shown


@pytest.mark.parametrize("script", [False, True], ids=["application", "script"])
def test_colours(project: Project, script: bool) -> None:
    application = ("-b", "127.0.0.1:0", "--reload", "shop:app")
    options = ("run", "--reload", "stall.py", "--", "0") if script else application
    with Terminal(project.directory, *options) as terminal:
        terminal.wait(r"\x1b\[32mpyfork \S+ is ready after \d+ ms\x1b\[0m\n")
        terminal.wait(r"\x1b\[1;36mhttp://127\.0\.0\.1:[1-9]\d+\x1b\[0m\n")


def test_a_broken_first_start_says_where_to_look(project: Project) -> None:
    project.write("goods/prices.py", "TEXT = missing\n")
    options = ("--reload", "-b", "127.0.0.1:0", "shop:app")
    with Terminal(project.directory, *options, env={"NO_COLOR": "1"}) as terminal:
        terminal.wait(r"pyfork \S+: the application does not load, and answers with the reason")
        terminal.wait(r"open +http://127\.0\.0\.1:[1-9]\d+\n")


def test_without_reload_the_lines_are_those_of_any_log(project: Project) -> None:
    options = ("-b", "127.0.0.1:0", "shop:app")
    with Terminal(project.directory, *options, env={"NO_COLOR": "1"}) as terminal:
        terminal.wait(r"\[INFO\] \[arbiter\] pyfork \S+ \(pid \d+\) is starting shop:app on http")
        terminal.wait(r"\(pid \d+\) is serving shop:app on http://\S+ with 1 worker of class sync")
        terminal.wait(r"stop +Ctrl-C\n")


def test_a_log_file_gets_no_colour_and_no_table(project: Project) -> None:
    with Development(project, "shop:app") as server:
        project.price("two")
        server.answers("two")
        line = r"\[[-\d]+ [:\d]+ [+-]\d{4}\] \[\d+\] \[[A-Z]+\] \[\w+( \d+ gen \d+)?\] \S.*"
        assert all(re.fullmatch(line, each) for each in server.log.splitlines())
        assert "Ctrl-C" not in server.log
