"""WSGI or ASGI: what a callable looks like tells which of the two it is."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from types import FunctionType
from typing import Any

from pyfork.annotations import annotations, forward_references

_PROBED = ("scope", "receive", "send")


def interface_of(app: Callable[..., Any]) -> str | None:
    """One of "wsgi", "asgi", "asgi2" (takes the scope, returns the rest); None for neither.

    ASGI is what is a coroutine function, or returns an awaitable by annotation, or takes three
    arguments; WSGI is what takes two. Nothing is called to find out.
    """
    target = _target(app)
    if inspect.isclass(app):
        return _detect_class(app)
    if inspect.iscoroutinefunction(target):
        return "asgi"
    if inspect.isasyncgenfunction(target):
        return None
    count = _accepts(app)
    if _returns_awaitable(target) or (count(3) and not count(2)):
        return "asgi"
    if count(2):
        return "wsgi"
    return "asgi2" if count(1) and _first_name(app) == "scope" else None


def from_asgi2(app: Callable[..., Any]) -> Callable[..., Any]:
    """An ASGI 3 application out of an ASGI 2 one: ``await app(scope)(receive, send)``."""

    async def asgi3(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi"]["version"] = "2.0"
        await app(scope)(receive, send)

    return asgi3


def describe(app: Callable[..., Any]) -> str:
    """What was found instead, for a message."""
    name = getattr(app, "__qualname__", None)
    what = f"class {name}" if inspect.isclass(app) else name or f"a {type(app).__qualname__}"
    try:
        return f"{what}{_signature(app)}"
    except (TypeError, ValueError):
        return str(what)


def hint(app: Callable[..., Any], spec: str) -> str:
    """What might help: most often it is a factory that was not called."""
    if _accepts(app)(0) and "(" not in spec:
        return f"; if that is a factory, write {spec}() or add --factory"
    return ""


def is_awaitable(value: Any) -> bool:
    """A coroutine that somebody forgot to await."""
    return inspect.iscoroutine(value)


def _target(app: Any) -> Any:
    """The function that runs in the end: below partials, bound methods and ``__call__``."""
    while not isinstance(app, FunctionType):
        if isinstance(app, functools.partial):
            app = app.func
        elif inspect.ismethod(app):
            app = app.__func__
        else:
            call = inspect.getattr_static(type(app), "__call__", None)
            if inspect.isclass(app) or not inspect.isfunction(call):
                return app
            app = call
    return app


def _detect_class(app: type) -> str | None:
    """Calling a class makes an object per request; ASGI awaits it, ASGI 2 calls it again."""
    count = _accepts(app)
    if count(2):
        return "wsgi"
    if count(3) and hasattr(app, "__await__"):
        return "asgi"
    call = inspect.getattr_static(app, "__call__", None)
    return "asgi2" if count(1) and inspect.iscoroutinefunction(call) else None


def _accepts(app: Callable[..., Any]) -> Callable[[int], bool]:
    """A predicate: can it be called with so many positional arguments?"""
    if isinstance(app, FunctionType) and not vars(app):  # nothing says that it takes others
        return _taken_by(app)
    try:
        signature = _signature(app)
    except (TypeError, ValueError):  # written in C without a signature: only WSGI's is thinkable
        return lambda count: count == 2

    def accepts(count: int) -> bool:
        try:
            signature.bind(*_PROBED[:count])
        except TypeError:
            return False
        return True

    return accepts


def _taken_by(function: FunctionType) -> Callable[[int], bool]:
    """The same of a function, without all that `inspect` does for it: every worker asks this."""
    code = function.__code__
    needed = code.co_argcount - len(function.__defaults__ or ())
    most = float("inf") if code.co_flags & inspect.CO_VARARGS else code.co_argcount
    demands_names = code.co_kwonlyargcount > len(function.__kwdefaults__ or ())
    return lambda count: needed <= count <= most and not demands_names


def _signature(app: Callable[..., Any]) -> inspect.Signature:
    """TypeError or ValueError where there is none; its annotations need not mean anything."""
    try:
        return inspect.signature(app)
    except NameError:  # see pyfork.annotations
        take: Any = inspect.signature  # it has this argument since then
        taken: inspect.Signature = take(app, annotation_format=forward_references())
        return taken


def _first_name(app: Callable[..., Any]) -> str:
    return next(iter(_signature(app).parameters), "")


def _returns_awaitable(target: Any) -> bool:
    annotation = annotations(target).get("return")
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2] in ("Awaitable", "Coroutine")
    origin = getattr(annotation, "__origin__", annotation)
    return isinstance(origin, type) and issubclass(origin, Awaitable)
