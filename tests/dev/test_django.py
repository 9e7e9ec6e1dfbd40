"""Django in development: static files, and ``manage.py pyfork``."""

import sys
from pathlib import Path

import pytest

from tests.dev.project import Development, Project
from tests.harness.server import Server

SETTINGS = """\
from pathlib import Path

BASE_DIR = Path(__file__).parent.parent
DEBUG = {debug}
SECRET_KEY = "x"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "site_.urls"
WSGI_APPLICATION = "site_.wsgi.application"
ASGI_APPLICATION = "site_.asgi.application"
INSTALLED_APPS = ["django.contrib.staticfiles", "pyfork.django"]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "assets"]
"""

URLS = """\
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("one"))]
"""

MANAGE = """\
import os, sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""

GATEWAY = """\
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")
from django.core.{kind} import get_{kind}_application

application = get_{kind}_application()
"""


def start_project(project: Project, *, debug: bool = True) -> None:
    project.write("manage.py", MANAGE)
    project.write("site_/__init__.py", "")
    project.write("site_/settings.py", SETTINGS.format(debug=debug))
    project.write("site_/urls.py", URLS)
    for kind in ("wsgi", "asgi"):
        project.write(f"site_/{kind}.py", GATEWAY.format(kind=kind))
    project.write("assets/shop.css", "body { color: red }")


SOAK = pytest.mark.soak


@pytest.mark.parametrize("kind", ["wsgi", pytest.param("asgi", marks=SOAK)])
def test_static_files_are_served_as_runserver_does(project: Project, kind: str) -> None:
    start_project(project)
    with Development(project, f"site_.{kind}:application", "-w", "2") as server:
        answer = server.get("/static/shop.css")
        assert (answer.status, answer.body) == (200, b"body { color: red }")
        assert answer.headers["Content-Type"] == "text/css"
        assert server.get("/static/none.css").status == 404
        assert server.get("/").body == b"one"
        told = "static files of staticfiles are served at /static/, because DEBUG is on"
        assert server.log.count(told) == 1
        project.write("site_/urls.py", URLS.replace("one", "two"))
        server.answers("two")
        assert server.get("/static/shop.css").status == 200
        assert server.log.count(told) == 1


@pytest.mark.parametrize(
    "why",
    [
        "DEBUG is off",
        pytest.param("--no-static", marks=SOAK),
        pytest.param("no --reload", marks=SOAK),
    ],
)
def test_static_files_are_not_served_otherwise(project: Project, why: str) -> None:
    start_project(project, debug=why != "DEBUG is off")
    options = ("--no-static",) if why == "--no-static" else ()
    server = Development(project, "site_.wsgi:application", *options)
    if why == "no --reload":
        server._command.remove("--reload")
    with server:
        assert server.get("/static/shop.css").status == 404
        assert "staticfiles are served" not in server.log


def test_a_view_that_cannot_be_imported_is_told_at_once(project: Project) -> None:
    start_project(project)
    with Development(project, "site_.wsgi:application") as server:
        project.write("site_/urls.py", "import nowhere\n")
        page = server.answers("cannot import site_.urls, the ROOT_URLCONF")
        assert page.headers["Pyfork-Fault"]
        assert server.log.count("Traceback (most recent call last)") == 1
        project.write("site_/urls.py", URLS.replace("one", "healed"))
        server.answers("healed")


class Manage(Server):
    """``manage.py pyfork`` in the directory of the project."""

    def __init__(self, project: Project, *words: str, directory: Path, ready: bool = True) -> None:
        super().__init__("", directory=directory, cwd=project.directory, ready=ready)
        self._command = [sys.executable, "manage.py", "pyfork", *words]
        self._environ["PYFORK_CONTROL"] = "off"


def test_manage_py_pyfork(project: Project, tmp_path: Path) -> None:
    start_project(project)
    with Manage(project, "127.0.0.1:0", directory=tmp_path) as server:
        assert "is starting site_.wsgi:application on http://127.0.0.1:" in server.log
        server.wait_log("of class thread")
        assert "System check identified no issues (0 silenced)." in server.out
        assert server.get("/static/shop.css").status == 200
        project.write("site_/urls.py", URLS.replace("one", "two"))
        server.until(lambda: server.get("/").body == b"two", "the new code")


@SOAK
def test_manage_py_pyfork_with_the_other_arguments(project: Project, tmp_path: Path) -> None:
    start_project(project)
    words = ("0:0", "--asgi", "--noreload", "--nostatic", "--skip-checks")
    with Manage(project, *words, directory=tmp_path) as server:
        assert "is starting site_.asgi:application on http://0.0.0.0:" in server.log
        assert server.get("/").body == b"one"
        assert server.get("/static/shop.css").status == 404


def test_manage_py_pyfork_checks_the_project_first(project: Project, tmp_path: Path) -> None:
    start_project(project)
    project.write("site_/urls.py", "import nowhere\n")
    with Manage(project, "0", directory=tmp_path, ready=False) as server:
        assert server.wait() == 1
        assert "No module named 'nowhere'" in server.log
        assert "is starting" not in server.log
