"""Load the application: from ``module:attr`` to a callable and its interface.

Runs in workers only. Every failure is the user's to fix, so each has its own `BootError` message,
with the application's part of the traceback alone.
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from pyfork.config.directory import Directory
from pyfork.errors import BootError, ConfigError
from pyfork.loader import detection, offers, tracebacks
from pyfork.loader.spec import AppSpec, parse
from pyfork.log.setup import enable_loggers
from pyfork.record import record

DEFAULT_NAMES = ("application", "app")


@record
class App:
    """A loaded application."""

    callable: Callable[..., Any]
    interface: str  # "wsgi" or "asgi"
    links: str = ""  # pages of its framework, a line each, "docs /docs"; in development


def set_up_path(
    directory: Directory, pythonpath: Iterable[str], env: Iterable[tuple[str, str]] = ()
) -> None:
    """Set environment, directory and ``sys.path`` for loading.

    As in gunicorn, the current directory comes first on the path, after ``pythonpath``.

    Raises:
        BootError: the directory cannot be entered.
    """
    for name, value in env:
        os.environ[name] = value
    try:
        directory.enter()
    except ConfigError as error:
        raise BootError(str(error)) from error
    importlib.invalidate_caches()
    ahead = [os.path.abspath(path) for path in pythonpath]
    for path in reversed([*ahead, os.getcwd()]):
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)


def load(spec: str, *, factory: bool = False, interface: str = "auto") -> App:
    """Import what ``spec`` names, and call it if that is asked for.

    Args:
        spec: ``module``, ``module:attr``, ``module:attr.sub`` or ``module:factory(literals)``.
        factory: the attribute is called without arguments and returns the application.
        interface: "wsgi" or "asgi" overrides detection; else "auto".

    Raises:
        BootError: there is no application; the message says why.
    """
    parsed = parse(spec)
    try:
        found = _attribute(_module(parsed), parsed)
        if factory or parsed.call is not None:
            found = _call(found, parsed)
    finally:
        enable_loggers()
    return _accept(found, parsed, interface)


def _module(spec: AppSpec) -> Any:
    try:
        return importlib.import_module(spec.module)
    except ModuleNotFoundError as error:
        raise _missing(spec, error) from error
    except SystemExit as error:
        raise _raised(
            spec,
            error,
            f"importing {spec.module} ended the program (SystemExit: {error.code}); a script "
            "belongs under if __name__ == '__main__'",
        ) from error
    except BaseException as error:
        raise _raised(spec, error, tracebacks.one_line(error)) from error


def _raised(spec: AppSpec, error: BaseException, text: str) -> BootError:
    """Make a BootError for an exception of the application: file and line, then ``text``."""
    place = tracebacks.place(error)
    message = f"{place}: {text} (cannot load {spec})" if place else f"cannot load {spec}: {text}"
    return BootError(message, tracebacks.app_traceback(error))


def _missing(spec: AppSpec, error: ModuleNotFoundError) -> BootError:
    """Make a BootError for a missing module, or for one that imports a missing module."""
    name = error.name or ""
    if name != spec.module and not spec.module.startswith(f"{name}."):
        where = _why_missing(name.partition(".")[0], spec)
        return _raised(spec, error, f"needs module {name!r}, which {where}")
    if tracebacks.has_app_frames(error):  # the module imports itself under a wrong name
        return _raised(spec, error, tracebacks.one_line(error))
    if "is not a package" in str(error):
        return BootError(f"cannot load {spec}: {name!r} is missing: {error.msg.partition('; ')[2]}")
    near = tracebacks.nearest(name.rpartition(".")[2], _modules_beside(name))
    return BootError(
        f"cannot load {spec}: there is no module {name!r} in {os.getcwd()} or on PYTHONPATH"
        f"{near or '; name its directory with --chdir or --pythonpath'}"
    )


def _why_missing(top: str, spec: AppSpec) -> str:
    """Say why a package is missing, as far as can be told."""
    package, _, inner = spec.module.rpartition(".")
    if top == spec.module.partition(".")[0]:
        return "does not exist"
    if top in sys.stdlib_module_names:
        return f"is Python's own: user {os.geteuid()} may not read {sys.base_prefix}, it seems"
    beside = package.replace(".", os.sep)
    if package and (os.path.isdir(f"{beside}/{top}") or os.path.isfile(f"{beside}/{top}.py")):
        return f"is in {beside}; write --chdir {beside} {inner}{spec.text[len(spec.module) :]}"
    return f"is not installed in {sys.prefix}"


def _modules_beside(name: str) -> list[str]:
    """Return the modules in the directory where ``name`` was searched."""
    package = name.rpartition(".")[0]
    places = sys.modules[package].__path__ if package in sys.modules else [os.getcwd()]
    found = []
    for place in places:
        for entry in os.scandir(place) if os.path.isdir(place) else ():
            stem, suffix = os.path.splitext(entry.name)
            if stem.isidentifier() and (suffix == ".py" or (not suffix and entry.is_dir())):
                found.append(stem)
    return found


def _attribute(module: Any, spec: AppSpec) -> Any:
    """Return the attribute that ``spec`` names; without a name, the first of `DEFAULT_NAMES`."""
    if not spec.attributes:
        for name in DEFAULT_NAMES:
            found = _look_up(module, name, spec, spec.module)
            if found is not _MISSING:
                return found
        raise BootError(
            f"cannot load {spec}: {spec.module} has neither 'application' nor 'app'"
            f"{offers.offer(module)}"
        )
    found = module
    for number, name in enumerate(spec.attributes):
        owner, holder = ".".join((spec.module, *spec.attributes[:number])), found
        found = _look_up(holder, name, spec, owner)
        if found is _MISSING:
            near = tracebacks.nearest(name, offers.names(holder))
            raise BootError(
                f"cannot load {spec}: no attribute {name!r} in {owner}"
                f"{near or offers.offer(holder)}"
            )
    return found


_MISSING = object()


def _look_up(holder: Any, name: str, spec: AppSpec, owner: str) -> Any:
    """Return the attribute, or `_MISSING`.

    Raises:
        BootError: code of the application raised: a property, or a module's ``__getattr__``.
    """
    try:
        return getattr(holder, name)
    except BaseException as error:
        if isinstance(error, AttributeError) and (
            not spec.attributes or not tracebacks.has_app_frames(error)
        ):
            return _MISSING
        text = f"looking up {name!r} in {owner} raised {tracebacks.one_line(error)}"
        raise _raised(spec, error, text) from error


def _call(found: Any, spec: AppSpec) -> Any:
    name = ".".join(spec.attributes) or "the factory"
    args, keywords = spec.call or ((), {})
    if not callable(found):
        raise BootError(
            f"cannot load {spec}: "
            f"{name} is {tracebacks.kind(found)} and cannot be called as a factory"
        )
    try:
        made = found(*args, **keywords)
    except BaseException as error:
        if isinstance(error, TypeError) and not tracebacks.has_app_frames(error):
            raise BootError(
                f"cannot load {spec}: factory {name} does not take these arguments: {error}"
            ) from error
        raise _raised(
            spec, error, f"{tracebacks.one_line(error)}, raised by factory {name}"
        ) from error
    if detection.is_awaitable(made):
        made.close()
        raise BootError(
            f"cannot load {spec}: factory {name} is a coroutine function; a factory returns the "
            "application itself"
        )
    if made is None:
        raise BootError(f"cannot load {spec}: factory {name} returned None, not an application")
    return made


def _accept(found: Any, spec: AppSpec, wanted: str) -> App:
    try:
        return _application(found, spec, wanted)
    except BootError:
        raise
    except Exception as error:  # a proxy object may raise anything
        kind = tracebacks.kind(found)
        raise BootError(
            f"cannot load {spec}: it is {kind}, not a WSGI or ASGI application"
        ) from error


def _application(found: Any, spec: AppSpec, wanted: str) -> App:
    if not callable(found):
        raise BootError(
            f"cannot load {spec}: it is {tracebacks.kind(found)}, not a WSGI or ASGI application, "
            "which is a callable"
        )
    detected = detection.interface_of(found)
    if wanted == "auto" and detected is None:
        raise BootError(
            f"cannot load {spec}: neither WSGI, app(environ, start_response), nor ASGI, async "
            f"app(scope, receive, send), but {detection.describe(found)}"
            f"{detection.hint(found, str(spec))}; --interface overrules this"
        )
    if detected == "asgi2" and wanted != "wsgi":
        return App(detection.from_asgi2(found), "asgi")
    return App(found, wanted if wanted != "auto" else str(detected))
