"""Detection of monkey patching by gevent or eventlet, which changes the whole process."""

import sys
from typing import Any

_MODULES = ("_thread", "threading", "socket", "select", "selectors", "os", "signal")


def patched_by() -> str:
    """Return the library that has replaced Python's threads, sockets or signals; empty if none
    has."""
    gevent: Any = sys.modules.get("gevent.monkey")
    if gevent is not None and any(map(gevent.is_module_patched, _MODULES)):
        return "gevent"
    eventlet: Any = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.already_patched:
        return "eventlet"
    return ""
