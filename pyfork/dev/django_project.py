"""A project of Django in development: what runserver does besides serving.

Static files of ``django.contrib.staticfiles`` are served, and the URLs are imported at the start:
Django itself imports them with the first request, and an error in a view would show only then.
"""

import logging
import sys
from importlib import import_module
from typing import Any

from pyfork.errors import BootError
from pyfork.loader import tracebacks
from pyfork.loader.load import App
from pyfork.log.formatter import terminal_style

log = logging.getLogger("pyfork.error")

_HANDLERS = {"wsgi": "StaticFilesHandler", "asgi": "ASGIStaticFilesHandler"}
_OFF = "whitenoise.runserver_nostatic"  # the project serves them by itself


def with_static_files(app: App, *, tell: bool) -> App:
    """``app``, or around it the handler of staticfiles where DEBUG is on.

    ``tell``: say so in the log.
    """
    settings = _settings(app)
    if settings is None or not settings.DEBUG or _OFF in settings.INSTALLED_APPS:
        return app
    if "django.contrib.staticfiles" not in settings.INSTALLED_APPS:
        return app
    handlers = import_module("django.contrib.staticfiles.handlers")
    handler = getattr(handlers, _HANDLERS[app.interface])(app.callable)
    if tell:
        log.info(
            "static files of staticfiles are served at %s, because DEBUG is on",
            settings.STATIC_URL,
            extra=terminal_style(),
        )
    return App(handler, app.interface, app.links)


def import_urls(app: App) -> None:
    """Import what ROOT_URLCONF names. Raises BootError: that raises."""
    settings = _settings(app)
    if settings is None or not getattr(settings, "ROOT_URLCONF", None):
        return
    name = settings.ROOT_URLCONF
    try:
        import_module(name)
    except Exception as error:
        place = tracebacks.place(error) or name
        message = f"{place}: {tracebacks.one_line(error)} (cannot import {name}, the ROOT_URLCONF)"
        raise BootError(message, tracebacks.app_traceback(error)) from error


def _settings(app: App) -> Any:
    """Django's settings, if ``app`` is a project of Django; else None."""
    conf = sys.modules.get("django.conf")
    handled = f"django.core.handlers.{app.interface}" in sys.modules
    return conf.settings if conf is not None and handled and conf.settings.configured else None
