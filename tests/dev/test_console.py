"""What a person at a terminal sees, and what a log file has all the same."""

import re
import urllib.error
import urllib.request
from contextlib import suppress

import pytest

from tests.dev.project import PATIENCE, Development, Project
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
        terminal.wait(r"goods/prices\.py:1: NameError: .* \(cannot load shop:app\)\n")
        terminal.wait(r"goods/prices\.py changed: clients get an error page")
        assert "\x1b" not in terminal.shown
        assert "generation" not in terminal.shown


FASTAPI = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/price/{amount}")
def price(amount: int) -> float:
    return 6 / amount
"""

DJANGO = """\
import django
from django.conf import settings

settings.configure(
    ROOT_URLCONF="urls",
    SECRET_KEY="x",
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.sessions", "django.contrib.messages",
    ],
)
django.setup()
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
"""


def test_each_request_is_a_line(project: Project) -> None:
    project.write("api.py", FASTAPI)
    options = ("--reload", "-b", "127.0.0.1:0", "api:app")
    with Terminal(project.directory, *options, columns=50) as terminal:
        url = re.sub(r"\x1b\[[\d;]*m", "", terminal.wait(r"docs .*?(http://\S+)/docs\S*\n")[1])
        terminal.wait("Ctrl-C")
        ask(f"{url}/price/3")
        took = r"\x1b\[2m (\d\.\d|\d+) ms"
        start = r"\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m \x1b\[1mGET\x1b\[0m"
        terminal.wait(rf"{start} /price/3 \x1b\[32m200\x1b\[0m{took} 3 B")
        ask(f"{url}/{'x' * 60}")
        terminal.wait(rf" /x+\.\.\. \x1b\[33m404\x1b\[0m{took} 22 B")
        ask(f"{url}/price/0")
        terminal.wait(rf" /price/0 \x1b\[31m500\x1b\[0m{took} ")
        assert terminal.shown.count('File "') == 1
        terminal.wait(
            r"ZeroDivisionError: .*\n +\(\d+ frames of libraries left out; -v shows all\)\n"
        )
        terminal.type("\x03")
        assert terminal.wait_end() == 0
        terminal.wait(r"\n\^C\S+ pyfork has stopped\n\Z")


@pytest.mark.soak
def test_verbose_shows_whole_tracebacks(project: Project) -> None:
    project.write("api.py", FASTAPI)
    options = ("--reload", "-v", "-b", "127.0.0.1:0", "api:app")
    with Terminal(project.directory, *options, env={"NO_COLOR": "1"}) as terminal:
        url = terminal.wait(r"open +(http://\S+)\n")[1]
        ask(f"{url}/price/0")
        terminal.wait("ZeroDivisionError")
        assert terminal.shown.count('File "') > 10


def test_the_admin_of_django_is_shown(project: Project) -> None:
    project.write("site_.py", DJANGO)
    project.write(
        "urls.py",
        "from django.contrib import admin\nfrom django.urls import path\n"
        "urlpatterns = [path('office/', admin.site.urls)]\n",
    )
    options = ("--reload", "-b", "127.0.0.1:0", "site_")
    with Terminal(project.directory, *options, env={"NO_COLOR": "1"}) as terminal:
        terminal.wait(r"admin +http://127\.0\.0\.1:\d+/office/\n")


def ask(url: str) -> None:
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(url, timeout=PATIENCE).close()


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
        terminal.wait(r"pyfork \S+: the application does not load, and clients get an error page")
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
