"""Servers that bring a reloader or workers, as their manuals write them.

``python reloading.py KIND PORT``; each answers with the number of its process.
"""

import asyncio
import os
import sys
from typing import Any

from tests.cluster.servers import HOST, TEXT, asgi, wsgi

__all__ = ["asgi"]  # what uvicorn imports


def flask_debug(port: int) -> None:
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: TEXT.decode())
    app.run(host=HOST, port=port, debug=True)


def werkzeug_reloader(port: int) -> None:
    from werkzeug.serving import run_simple

    run_simple(HOST, port, wsgi, use_reloader=True)


def django_runserver(port: int) -> None:
    """A manage.py in one file."""
    from django.conf import settings
    from django.core.management import execute_from_command_line
    from django.http import HttpResponse
    from django.urls import path

    settings.configure(
        DEBUG=True, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", DATABASES={}
    )
    globals()["urlpatterns"] = [path("", lambda request: HttpResponse(TEXT))]
    execute_from_command_line(["manage.py", "runserver", f"{HOST}:{port}", "--skip-checks"])


def uvicorn_reload(port: int) -> None:
    import uvicorn

    uvicorn.run("tests.cluster.reloading:asgi", host=HOST, port=port, reload=True)


def uvicorn_workers(port: int) -> None:
    import uvicorn

    uvicorn.run("tests.cluster.reloading:asgi", host=HOST, port=port, workers=2)


def uvicorn_command(port: int) -> None:
    from uvicorn.main import main

    main(["tests.cluster.reloading:asgi", "--host", HOST, "--port", str(port), "--reload"])


def tornado_debug(port: int) -> None:
    import tornado.web

    class Handler(tornado.web.RequestHandler):
        def get(self) -> None:
            self.write(TEXT)

    async def main() -> None:
        tornado.web.Application([("/", Handler)], debug=True).listen(port, HOST)
        await asyncio.Event().wait()

    asyncio.run(main())


KINDS: dict[str, tuple[Any, str]] = {
    "flask debug": (flask_debug, "the reloader of Werkzeug is off"),
    "werkzeug": (werkzeug_reloader, "the reloader of Werkzeug is off"),
    "django runserver": (django_runserver, "the reloader of Django is off"),
    "uvicorn reload": (uvicorn_reload, "the reloader of uvicorn is off"),
    "uvicorn command": (uvicorn_command, "the reloader of uvicorn is off"),
    "uvicorn workers": (uvicorn_workers, "the 2 workers of uvicorn are off"),
    "tornado debug": (tornado_debug, "the reloader of Tornado is off"),
}
"""Name -> function, and what pyfork says."""

if __name__ == "__main__":
    print("process", os.getpid(), flush=True)
    KINDS[sys.argv[1]][0](int(sys.argv[2]))
