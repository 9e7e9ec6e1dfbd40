"""Detection of the interface (WSGI or ASGI) from the signature of a callable."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from types import FunctionType
from typing import Any

from pyfork.annotations import annotations, forward_references

_PROBED = ("scope", "receive", "send")


def interface_of(app: Callable[..., Any]) -> str | None:
    """Return "wsgi", "asgi", "asgi2" (takes the scope, returns the rest), or None for neither.

    ASGI is a coroutine function, a function that returns an awaitable by annotation, or one with
    three arguments. WSGI takes two. Nothing is called.
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
    """Make an ASGI 3 application of an ASGI 2 one: ``await app(scope)(receive, send)``."""

    async def asgi3(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi"]["version"] = "2.0"
        await app(scope)(receive, send)

    return asgi3


def describe(app: Callable[..., Any]) -> str:
    """Describe ``app`` for an error message."""
    name = getattr(app, "__qualname__", None)
    what = f"class {name}" if inspect.isclass(app) else name or f"a {type(app).__qualname__}"
    try:
        return f"{what}{_signature(app)}"
    except (TypeError, ValueError):
        return str(what)


def hint(app: Callable[..., Any], spec: str) -> str:
    """Suggest a remedy; most often a factory was not called."""
    if _accepts(app)(0) and "(" not in spec:
        return f"; if that is a factory, write {spec}() or add --factory"
    return ""


def is_awaitable(value: Any) -> bool:
    """Whether ``value`` is a coroutine that was not awaited."""
    return inspect.iscoroutine(value)


def _target(app: Any) -> Any:
    """Return the underlying function: below partials, bound methods and ``__call__``."""
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
    """Return the interface of a class: ASGI awaits its instances, ASGI 2 calls them again."""
    count = _accepts(app)
    if count(2):
        return "wsgi"
    if count(3) and hasattr(app, "__await__"):
        return "asgi"
    call = inspect.getattr_static(app, "__call__", None)
    return "asgi2" if count(1) and inspect.iscoroutinefunction(call) else None


def _accepts(app: Callable[..., Any]) -> Callable[[int], bool]:
    """Return a predicate: whether ``app`` takes that many positional arguments."""
    # it has no attribute that changes its signature
    if isinstance(app, FunctionType) and not vars(app):
        return _taken_by(app)
    try:
        signature = _signature(app)
    except (TypeError, ValueError):  # written in C without a signature: it can only be WSGI
        return lambda count: count == 2

    def accepts(count: int) -> bool:
        try:
            signature.bind(*_PROBED[:count])
        except TypeError:
            return False
        return True

    return accepts


def _taken_by(function: FunctionType) -> Callable[[int], bool]:
    """As `_accepts` for a plain function, without the cost of `inspect`: every worker calls
    this."""
    code = function.__code__
    needed = code.co_argcount - len(function.__defaults__ or ())
    most = float("inf") if code.co_flags & inspect.CO_VARARGS else code.co_argcount
    demands_names = code.co_kwonlyargcount > len(function.__kwdefaults__ or ())
    return lambda count: needed <= count <= most and not demands_names


def _signature(app: Callable[..., Any]) -> inspect.Signature:
    """Return the signature without evaluating annotations. Raises TypeError or ValueError."""
    try:
        return inspect.signature(app)
    except NameError:  # see pyfork.annotations
        take: Any = inspect.signature  # new in that version
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
