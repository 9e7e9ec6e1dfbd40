"""Suggestions for a name that does not exist.

Whatever lives in the application's modules is looked at by its type alone: a proxy of Flask, a lazy
object of Django or a module's ``__getattr__`` may run any code, and raise, when it is asked for an
attribute, also for ``__class__``, as `isinstance` does.
"""

import inspect
from types import FunctionType, MethodType, ModuleType
from typing import Any

from pyfork.loader import detection

_MOST = 8  # names in one message


def names(holder: object) -> list[str]:
    """The names that ``holder`` has itself."""
    return [name for name in _namespace(holder) if isinstance(name, str)]


def offer(holder: object) -> str:
    """The end of a message: the applications in ``holder``, else the callables that it defines."""
    namespace = {name: value for name, value in _namespace(holder).items() if name[:1] != "_"}
    module = _module_name(holder)
    instances = [name for name, value in namespace.items() if _is_application(value)]
    if instances:
        found = [f"{name} ({type(namespace[name]).__name__})" for name in sorted(instances)]
        return f"; there is {', '.join(found[:_MOST])}"
    defined = [name for name, value in namespace.items() if _is_defined_in(value, module)]
    return f"; callables there are {', '.join(sorted(defined)[:_MOST])}" if defined else ""


def _module_name(holder: object) -> object:
    """The module whose definitions are at home in ``holder``."""
    return _namespace(holder).get("__name__" if _is(holder, ModuleType) else "__module__")


def _namespace(holder: object) -> dict[str, Any]:
    try:
        return dict(object.__getattribute__(holder, "__dict__"))
    except (AttributeError, TypeError):
        return dict(type.__dict__["__dict__"].__get__(holder)) if _is(holder, type) else {}


def _is(value: object, kind: type) -> bool:
    """As `isinstance`, without asking the object itself."""
    return issubclass(type(value), kind)


def _is_application(value: object) -> bool:
    """Whether the class of ``value`` has a WSGI or ASGI ``__call__``, as frameworks'
    applications do."""
    call = inspect.getattr_static(type(value), "__call__", None)
    if not _is(call, FunctionType):
        return False
    return detection.interface_of(MethodType(call, object())) in ("wsgi", "asgi")


def _is_defined_in(value: object, module: object) -> bool:
    """A class or a function that was made in ``module``, and not imported."""
    if not (_is(value, type) or _is(value, FunctionType)):
        return False
    return _namespace(value).get("__module__", getattr(value, "__module__", None)) == module
