"""A project that is edited, and the development server that serves it."""

import os
import re
import shutil
import time
from pathlib import Path

import psutil

from tests.harness.server import Answer, Server

PATIENCE = 25.0  # seconds

SHOP = '''\
"""A shop, for WSGI."""

from goods import prices


def app(environ, start_response):
    body = prices.TEXT.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
'''

BAZAAR = '''\
"""A shop, for ASGI: with an event stream and a WebSocket."""

import asyncio

from goods import prices


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if prices.TEXT == "raise":
            raise RuntimeError("the till is locked")
        if prices.TEXT == "fail":
            await send({"type": "lifespan.startup.failed", "message": "the till is empty"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": prices.TEXT})
        await receive()
    elif scope["path"] == "/events":
        fields = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        while True:
            body = f"data: {prices.TEXT}\\n\\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await asyncio.sleep(0.05)
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": prices.TEXT.encode()})
'''

STALL = '''\
"""A shop, as a script."""

import http.server
import sys

from goods import prices


class Stall(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = prices.TEXT.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Stall).serve_forever()
'''


class Project:
    """A directory with a shop in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name, source in {"shop.py": SHOP, "bazaar.py": BAZAAR, "stall.py": STALL}.items():
            self.write(name, source)
        self.write("goods/__init__.py", "")
        self.price("one")

    def write(self, name: str, text: str) -> None:
        """Save a file, as an editor does: aside, and then in its place."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.tmp")
        aside.write_text(text)
        os.replace(aside, path)

    def price(self, text: str) -> None:
        """What the shop answers from now on."""
        self.write("goods/prices.py", f"TEXT = {text!r}\n")

    def delete(self, name: str) -> None:
        """A file, or a directory with all that is in it."""
        path = self.directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


class Development(Server):
    """``pyfork --reload`` in the directory of a project; bytecode is written, as it is at work."""

    def __init__(
        self, project: Project, app: str, *options: str, ready: bool = True, clean: bool = True
    ) -> None:
        directory = project.directory.parent / "logs"
        directory.mkdir(exist_ok=True)
        super().__init__(
            app,
            "--reload",
            "--control",
            "off",
            *options,
            directory=directory,
            cwd=project.directory,
            ready=ready,
            clean=clean,
        )
        self._environ.pop("PYTHONDONTWRITEBYTECODE", None)

    def answers(self, text: str, target: str = "/") -> Answer:
        """Wait until it answers ``text``; no connection may fail meanwhile."""

        def found() -> Answer | None:
            answer = self.get(target)
            return answer if text.encode() in answer.body else None

        return self.until(found, f"it answers {text!r}", PATIENCE)

    def says(self, pattern: str) -> re.Match[str]:
        """Wait until the log says ``pattern``."""
        what = f"the log says {pattern!r}"
        return self.until(lambda: re.search(pattern, self.log), what, PATIENCE)  # type: ignore[return-value]

    def reloads(self) -> int:
        """How many were begun."""
        return len(re.findall(r"reload: generation \d+ boots", self.log))

    def watcher(self) -> psutil.Process | None:
        """Its process, once it is one."""
        for each in self.processes():
            try:
                if each.cmdline()[0].startswith("pyfork: watcher"):
                    return each
            except (psutil.NoSuchProcess, IndexError):
                continue
        return None

    def settle(self) -> None:
        """Wait until nothing has been said for a moment."""
        before, since = self.log, time.monotonic()
        deadline = since + PATIENCE
        while time.monotonic() - since < 0.6 and time.monotonic() < deadline:
            time.sleep(0.05)
            if self.log != before:
                before, since = self.log, time.monotonic()
