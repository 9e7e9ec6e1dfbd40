"""Pages that a framework serves by itself, and that a developer looks for: docs, admin.

Asked once, by a worker of the first generation, for the lines that the console shows at the start.
Rules: what goes wrong here is no fault of the application, and has no effect.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

_DEPTH = 5  # middlewares around an application that are looked through


def links(app: Any) -> str:
    """A line for each page, its label and its path: ``docs /docs``."""
    try:
        return "\n".join([*_of_fastapi(app), *_of_django()])
    except Exception:  # noqa: BLE001 - the application's own code: its URLs, its settings
        return ""


def _of_fastapi(app: Any) -> Iterator[str]:
    for _ in range(_DEPTH):
        if any(each.__module__.startswith("fastapi.") for each in type(app).__mro__):
            if app.docs_url and app.openapi_url:
                yield f"docs {app.root_path.rstrip('/')}{app.docs_url}"
            return
        app = getattr(app, "app", None)


def _of_django() -> Iterator[str]:
    """Its URLs are read now; else the first request would read them."""
    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        return
    if "django.contrib.admin" in conf.settings.INSTALLED_APPS:
        urls = import_module("django.urls")
        with suppress(urls.NoReverseMatch):
            yield f"admin {urls.reverse('admin:index')}"
