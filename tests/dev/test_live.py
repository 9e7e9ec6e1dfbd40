"""Live reload: a page learns of reloads and of style sheets, and only HTML has the script."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import programs
from tests.dev.browser import Browser
from tests.dev.project import PATIENCE, Development, Project

SCRIPT = b'<script src="/__pyfork__/live.js" async></script>\n'

WSGI = """
KINDS = {"/": "text/html; charset=utf-8", "/json": "application/json", "/zip": "text/html"}

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/shop.css":
        start_response("200 OK", [("Content-Type", "text/css")])
        return [open("shop.css", "rb").read()]
    body = b'<link rel="stylesheet" href="/shop.css"><p id="price">one</p>'
    headers = [("Content-Type", KINDS[path]), ("Content-Length", str(len(body)))]
    if path == "/zip":
        headers.append(("Content-Encoding", "br"))
    start_response("200 OK", headers)
    return [body]
"""

ASGI = """
import asyncio

async def app(scope, receive, send):
    assert scope["type"] == "http"
    fields = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"<p>one", "more_body": True})
    await send({"type": "http.response.body", "body": b"</p>"})
"""


class Stream:
    """What a page hears."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.sendall(b"GET /__pyfork__/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.heard = b""

    def wait(self, text: bytes) -> None:
        while text not in self.heard:
            data = self._socket.recv(4096)
            assert data, f"the stream has ended: {self.heard!r}"
            self.heard += data

    def wait_end(self) -> float:
        """Wait for the last chunk; how many seconds that took."""
        began = time.monotonic()
        while not self.heard.endswith(b"\r\n0\r\n\r\n"):
            self.heard += self._socket.recv(4096)
        return time.monotonic() - began

    def close(self) -> None:
        self._socket.close()


@contextmanager
def stream(server: Development) -> Iterator[Stream]:
    one = Stream(server.port)
    try:
        one.wait(b"event: at\ndata: ")
        yield one
    finally:
        one.close()


def test_a_page_hears_of_reloads_and_styles(project: Project) -> None:
    project.write("web.py", WSGI)
    project.write("shop.css", "p { color: red }")
    with Development(project, "web:app", "--live") as server:
        with stream(server) as page:
            assert b"text/event-stream" in page.heard
            answer = server.get("/")  # the one thread is free
            assert answer.body.endswith(b"</p>" + SCRIPT)
            assert int(answer.headers["Content-Length"] or 0) == len(answer.body)
            assert server.get("/__pyfork__/live.js").body.startswith(b"let at")
            for plain in ("/json", "/zip"):
                assert SCRIPT not in server.get(plain).body
            project.write("shop.css", "p { color: blue }")
            page.wait(b"event: css\n")
            assert server.reloads() == 0
            project.write("web.py", WSGI.replace("one", "two"))
            page.wait_end()
        with stream(server) as again:
            number = again.heard.partition(b"data: ")[2].split()[0]
            assert number not in page.heard
        assert "__pyfork__" not in server.out


def test_an_asgi_application_and_its_drain(project: Project) -> None:
    project.write("web.py", ASGI)
    with Development(project, "web:app", "--live") as server, stream(server) as page:
        assert server.get("/").body == b"<p>one</p>" + SCRIPT
        server.signal(15)
        assert page.wait_end() < 0.9  # not at the end of the grace


def test_without_live_there_is_no_script(project: Project) -> None:
    project.write("web.py", WSGI)
    with Development(project, "web:app") as server:
        assert SCRIPT not in server.get("/").body


@pytest.mark.soak
def test_in_a_browser(project: Project, tmp_path: Path) -> None:
    driver, chromium = programs.need("chromedriver"), programs.need("chromium")
    project.write("web.py", WSGI)
    project.write("shop.css", "p { color: rgb(1, 2, 3) }")
    with (
        Development(project, "web:app", "--live") as server,
        Browser(driver, chromium, tmp_path / "profile") as browser,
    ):
        browser.open(f"http://127.0.0.1:{server.port}/")
        browser.run("window.kept = true")
        connected = "return typeof at !== 'undefined' && at !== null"
        server.until(lambda: browser.run(connected), "its stream is open", PATIENCE)
        shown = "return getComputedStyle(document.getElementById('price')).color"
        server.until(lambda: browser.run(shown) == "rgb(1, 2, 3)", "the style is there", PATIENCE)
        project.write("shop.css", "p { color: rgb(4, 5, 6) }")
        server.until(lambda: browser.run(shown) == "rgb(4, 5, 6)", "the style is new", PATIENCE)
        assert browser.run("return window.kept === true"), "it was not loaded again"
        project.write("web.py", WSGI.replace("one", "two"))
        price = "return document.getElementById('price')?.textContent"
        server.until(lambda: browser.run(price) == "two", "the page is new", PATIENCE)
        project.write("web.py", "missing")
        server.until(lambda: "NameError" in browser.text(), "the error page", PATIENCE)
        project.write("web.py", WSGI.replace("one", "three"))
        server.until(lambda: browser.run(price) == "three", "it is healed", PATIENCE)
