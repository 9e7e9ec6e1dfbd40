"""Whether an application shows its errors to clients."""

import sys
from contextlib import suppress


def in_debug_mode(app: object) -> bool:
    """Whether Django's DEBUG is set, or the ``debug`` of Flask, Starlette and others.

    Imports nothing: a framework that is not loaded serves nothing. An application that raises when
    it is asked (a property, lazy settings) is taken for one that is not in debug mode.
    """
    with suppress(Exception):
        if getattr(app, "debug", None) is True:
            return True
        django = getattr(sys.modules.get("django.conf"), "settings", None)
        return bool(django is not None and django.configured and getattr(django, "DEBUG", False))
    return False
