"""The error page for an exception in a request: of any framework, and only where it belongs."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pyfork.dev.errors import editor
from pyfork.dev.errors.report import ErrorReport
from pyfork.dev.errors.request_info import RequestInfo
from pyfork.dev.errors.variables import LONGEST, MOST, variables
from tests.dev.project import Development, Project
from tests.dev.test_django import SETTINGS, URLS, start_project
from tests.harness.server import Server

BROWSER = {"Accept": "text/html", "Cookie": "sid=hunter2", "X-Colour": "red"}

WSGI = """
def app(environ, start_response):
    def pieces():
        yield fail()
    if environ["PATH_INFO"] == "/own":
        start_response("500 Broken", [("Content-Type", "text/plain")])
        return [b"my own answer"]
    if environ["PATH_INFO"] == "/late":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces()
    return fail()

def fail():
    amount, password = 0, "hunter2"
    return 6 / amount
"""

FLASK = """
from flask import Flask

app = Flask(__name__)

@app.get("/own")
def own():
    return "my own answer", 500

@app.get("/")
def index():
    amount, password = 0, "hunter2"
    return str(6 / amount)
"""

FASTAPI = """
from fastapi import FastAPI, HTTPException

app = FastAPI()

@app.get("/own")
def own():
    raise HTTPException(500, "my own answer")

@app.get("/")
def index():
    amount, password = 0, "hunter2"
    return 6 / amount
"""


def check(server: Server, target: str = "/") -> None:
    """A browser sees the page, a program JSON, anybody else text; other hosts see nothing."""
    page = server.get(target, **BROWSER)
    assert (page.status, page.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert "script-src 'self' 'nonce-" in page.headers["Content-Security-Policy"]
    text = page.body.decode()
    for shown in ("ZeroDivisionError", "division by zero", "<th>amount</th><td>0</td>", "^^^"):
        assert shown in text
    assert "<th>x-colour</th><td>red</td>" in text
    assert "<th>password</th><td>********</td>" in text
    assert "<th>cookie</th><td>********</td>" in text
    assert "sid=hunter2" not in text
    told = json.loads(server.get(target, Accept="application/json").body)
    assert told["error"] == "the application failed"
    assert told["exceptions"][0]["type"] == "ZeroDivisionError"
    assert "hunter2" not in [each.get("variables") for each in told["exceptions"][0]["frames"]]
    plain = server.get(target, Accept="*/*")
    assert plain.headers["Content-Type"].startswith("text/plain")
    assert b"ZeroDivisionError: division by zero" in plain.body
    other = server.get(target, Host="evil.example", **BROWSER)
    assert other.status == 500
    assert b"ZeroDivisionError" not in other.body


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(WSGI, id="wsgi"),
        pytest.param(FLASK, id="flask", marks=pytest.mark.soak),
        pytest.param(FASTAPI, id="fastapi"),
    ],
)
def test_an_exception_in_a_request(project: Project, source: str) -> None:
    project.write("web.py", source)
    with Development(project, "web:app") as server:
        check(server)
        own = server.get("/own", **BROWSER)
        assert own.status == 500
        assert b"my own answer" in own.body
        if source is WSGI:
            check(server, "/late")
        project.write("web.py", source.replace("0, ", "3, "))
        if source is not WSGI:
            server.answers("2.0")


def test_an_exception_in_django(project: Project) -> None:
    start_project(project)
    failing = URLS.replace('HttpResponse("one")', "fail(request)") + (
        "\ndef fail(request):\n    amount, password = 0, 'hunter2'\n    return 6 / amount\n"
    )
    project.write("site_/urls.py", failing)
    with Development(project, "site_.wsgi:application") as server:
        page = server.get("/", **BROWSER)  # Django's own, as DEBUG is on
        assert page.status == 500
        assert b"You\xe2\x80\x99re seeing this error because you have" in page.body
        project.write("site_/settings.py", SETTINGS.format(debug=False))
        server.says(r"settings\.py changed")
        server.until(lambda: b"Shown by pyfork" in server.get("/", **BROWSER).body, "our page")
        check(server)


def test_a_request_that_may_take_the_socket_goes_through(project: Project) -> None:
    project.write("web.py", WSGI)
    with Development(project, "web:app", "--live") as server:
        answer = server.get("/", Connection="Upgrade", Upgrade="websocket", **BROWSER)
        assert (answer.status, answer.body) == (500, b"Internal Server Error\n")


def test_without_reload_clients_see_nothing_of_it(project: Project) -> None:
    project.write("web.py", FLASK)
    server = Development(project, "web:app")
    server._command.remove("--reload")
    with server:
        page = server.get("/", **BROWSER)
        assert page.status == 500
        assert b"ZeroDivisionError" not in page.body


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def values(**local: Any) -> dict[str, str]:
    return dict(variables(SimpleNamespace(f_locals=local)))  # type: ignore[arg-type]


def test_variables_are_bounded_and_masked() -> None:
    shown = values(
        text="x" * 10_000,
        many=list(range(10_000)),
        api_key="hunter2",
        settings={"DB_PASSWORD": "hunter2", "deep": {"token": "hunter2", "colour": "red"}},
        broken=Broken(),
        json=json,
    )
    assert max(map(len, shown.values())) <= LONGEST + 3
    assert "hunter2" not in str(shown)
    assert "'colour': 'red'" in shown["settings"]
    assert shown["broken"].startswith("<Broken instance at ")
    assert "json" not in shown
    assert len(values(**{f"v{n}": n for n in range(100)})) == MOST


def test_a_line_opens_in_the_editor() -> None:
    try:
        _ = 1 / 0  # "é" is before nothing: columns are characters
    except ZeroDivisionError as error:
        request = RequestInfo("GET", "/", "", ())
        report = ErrorReport.of_request(error, request, editor.EDITORS["vscode"])
    frame = report.chain[0].frames[0]
    assert frame.link == f"vscode://file{__file__}:{frame.line}:13"
    assert frame.columns == (12, 17)
    assert editor.template("auto", {"TERM_PROGRAM": "vscode"}) == editor.EDITORS["vscode"]
    assert editor.template("auto", {}) == ""
    assert editor.template("my://{path}", {}) == "my://{path}"
    assert editor.link("x://{path}?{line}", "/a b.py", 3) == "x:///a%20b.py?3"
