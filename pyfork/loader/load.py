"""Loading the application: from ``module:attr`` to a callable and its interface.

Runs in workers only. Whatever goes wrong in here is the user's to mend, so every way to fail has
its own `BootError` message, with the application's part of the traceback and nothing of ours.
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from pyfork.config.directory import Directory
from pyfork.errors import BootError, ConfigError
from pyfork.loader import detection, tracebacks
from pyfork.loader.spec import AppSpec, parse
from pyfork.log.setup import reclaim
from pyfork.record import record

DEFAULT_NAMES = ("application", "app")


@record
class App:
    """A loaded application."""

    callable: Callable[..., Any]
    interface: str  # "wsgi" or "asgi"


def set_up_path(
    directory: Directory, pythonpath: Iterable[str], env: Iterable[tuple[str, str]] = ()
) -> None:
    """Make this process a place to load from: environment, directory, and ``sys.path``.

    As in gunicorn, the current directory comes first on the path, and ``pythonpath`` before it.

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
    """Import and, if asked for, call what ``spec`` names.

    Args:
        spec: ``module``, ``module:attr``, ``module:attr.sub`` or ``module:factory(literals)``.
        factory: the attribute is called without arguments and returns the application.
        interface: "wsgi" or "asgi" where detection is to be overruled; else "auto".

    Raises:
        BootError: there is no application; the message says why.
    """
    parsed = parse(spec)
    try:
        found = _attribute(_module(parsed), parsed)
        if factory or parsed.call is not None:
            found = _call(found, parsed)
    finally:
        reclaim()
    return _accept(found, parsed, interface)


def _module(spec: AppSpec) -> Any:
    try:
        return importlib.import_module(spec.module)
    except ModuleNotFoundError as error:
        raise _missing(spec, error) from error
    except SyntaxError as error:
        where = f"{error.filename}, line {error.lineno}" if error.filename else spec.module
        raise BootError(
            f"cannot load {spec}: syntax error in {where}: {error.msg}",
            tracebacks.app_traceback(error),
        ) from error
    except SystemExit as error:
        raise BootError(
            f"cannot load {spec}: importing {spec.module} ended the program "
            f"(SystemExit: {error.code}); a script belongs under if __name__ == '__main__'",
            tracebacks.app_traceback(error),
        ) from error
    except BaseException as error:
        raise BootError(
            f"cannot load {spec}: importing {spec.module} raised {tracebacks.one_line(error)}",
            tracebacks.app_traceback(error),
        ) from error


def _missing(spec: AppSpec, error: ModuleNotFoundError) -> BootError:
    """The application's module is missing; or it is there, and imports one that is."""
    name = error.name or ""
    if name != spec.module and not spec.module.startswith(f"{name}."):
        where = _why_missing(name.partition(".")[0], spec.module.partition(".")[0])
        return BootError(
            f"cannot load {spec}: {spec.module} was found, but needs module {name!r}, which "
            f"{where}",
            tracebacks.app_traceback(error),
        )
    if tracebacks.has_app_frames(
        error
    ):  # the module imports itself, or its package, under a wrong name
        return BootError(
            f"cannot load {spec}: importing {spec.module} raised {tracebacks.one_line(error)}",
            tracebacks.app_traceback(error),
        )
    if "is not a package" in str(error):
        return BootError(f"cannot load {spec}: {name!r} is missing: {error.msg.partition('; ')[2]}")
    near = tracebacks.nearest(name.rpartition(".")[2], _modules_beside(name))
    return BootError(
        f"cannot load {spec}: there is no module {name!r} in {os.getcwd()} or on PYTHONPATH"
        f"{near or '; name its directory with --chdir or --pythonpath'}"
    )


def _why_missing(top: str, own: str) -> str:
    """Why a package is not there, as far as can be told."""
    if top == own:
        return "does not exist"
    if top in sys.stdlib_module_names:
        return f"is Python's own: user {os.geteuid()} may not read {sys.base_prefix}, it seems"
    return f"is not installed in {sys.prefix}"


def _modules_beside(name: str) -> list[str]:
    """What could be imported where ``name`` was looked for, as far as directories tell."""
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
    if spec.attributes:
        found = module
        for number, name in enumerate(spec.attributes):
            try:
                found = getattr(found, name)
            except AttributeError as error:
                owner = ".".join((spec.module, *spec.attributes[:number]))
                raise _no_attribute(spec, owner, found, name, error) from error
        return found
    for name in DEFAULT_NAMES:
        if hasattr(module, name):
            return getattr(module, name)
    raise BootError(
        f"cannot load {spec}: {spec.module} has neither 'application' nor 'app'"
        f"{_offer(spec.module, module)}"
    )


def _no_attribute(
    spec: AppSpec, owner: str, found: Any, name: str, error: AttributeError
) -> BootError:
    if tracebacks.has_app_frames(
        error
    ):  # a property or a module's __getattr__ failed in the app's own code
        return BootError(
            f"cannot load {spec}: looking up {name!r} raised {tracebacks.one_line(error)}",
            tracebacks.app_traceback(error),
        )
    near = tracebacks.nearest(name, vars(found) if hasattr(found, "__dict__") else dir(found))
    return BootError(f"cannot load {spec}: {owner} has no {name!r}{near or _offer(owner, found)}")


def _offer(owner: str, found: Any) -> str:
    """What might have been meant: the public callables that were made in this module."""
    public = [
        name
        for name, value in getattr(found, "__dict__", {}).items()
        if not name.startswith("_") and callable(value) and _at_home(value, owner)
    ]
    return f"; callables there are {', '.join(sorted(public)[:8])}" if public else ""


def _at_home(value: Any, module: str) -> bool:
    """Not a class or function that was only imported; instances are always at home."""
    is_definition = isinstance(value, type) or hasattr(value, "__code__")
    return not is_definition or getattr(value, "__module__", None) == module


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
        raise BootError(
            f"cannot load {spec}: factory {name} raised {tracebacks.one_line(error)}",
            tracebacks.app_traceback(error),
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
