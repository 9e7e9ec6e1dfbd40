"""Reloaders and workers of libraries that have a switch: it is turned off.

    Werkzeug, Flask   run_simple(use_reloader=True), app.run(debug=True), flask run --debug
    Django            runserver without --noreload
    uvicorn           reload=True, --reload, workers=2, --workers 2
    Tornado           Application(autoreload=True, debug=True), autoreload.start()

A reloader runs the script again in a child, which would be a second server on the port. ``pyfork
run --reload`` and ``-w`` replace reloaders and workers. `descendants` handles libraries without
such a switch.

Rules: one function for each library, called when that is imported.
"""

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

Note = Callable[[str], None]
"""Logs once, in one line, what was turned off."""

RELOAD = "the reloader of %s is off here: use pyfork run --reload"
WORKERS = "the %d workers of %s are off here: use pyfork run -w %d"


def patch_werkzeug(module: ModuleType, note: Note) -> None:
    """``werkzeug.serving``."""
    run_simple: Callable[..., None] = module.__dict__["run_simple"]

    @wraps(run_simple)
    def run_once(
        hostname: str,
        port: int,
        application: Any,
        use_reloader: bool = False,
        *args: Any,
        **rest: Any,
    ) -> None:
        if use_reloader:
            note(RELOAD % "Werkzeug")
        run_simple(hostname, port, application, False, *args, **rest)

    module.__dict__["run_simple"] = run_once


def patch_django(module: ModuleType, note: Note) -> None:
    """``django.utils.autoreload``."""

    def run(main: Callable[..., None], *args: Any, **keywords: Any) -> None:
        note(RELOAD % "Django")
        main(*args, **keywords)

    module.__dict__["run_with_reloader"] = run


def patch_uvicorn(module: ModuleType, note: Note) -> None:
    """``uvicorn.config``."""
    config: Any = module.__dict__["Config"]
    init: Callable[..., None] = config.__init__

    @wraps(init)
    def init_for_one(self: Any, *args: Any, **keywords: Any) -> None:
        init(self, *args, **keywords)
        if self.reload:
            note(RELOAD % "uvicorn")
        if self.workers > 1:
            note(WORKERS % (self.workers, "uvicorn", self.workers))
        self.reload, self.workers = False, 1

    config.__init__ = init_for_one


def patch_tornado(module: ModuleType, note: Note) -> None:
    """``tornado.autoreload``."""
    module.__dict__["start"] = lambda check_time=500: note(RELOAD % "Tornado")


PATCHES: dict[str, Callable[[ModuleType, Note], None]] = {
    "werkzeug.serving": patch_werkzeug,
    "django.utils.autoreload": patch_django,
    "uvicorn.config": patch_uvicorn,
    "tornado.autoreload": patch_tornado,
}
