"""Which application a directory holds, for a command line that names none.

The sources are parsed and never imported: the process that asks is the arbiter.
"""

import ast
import os
import re
from collections.abc import Iterator, Sequence

from pyfork.record import record

FILES = ("app.py", "main.py", "wsgi.py", "asgi.py", "api.py", "__init__.py")
"""Where applications are looked for, in the directory (but for the last) and in its packages."""

_FRAMEWORKS = {
    **{name: name for name in ("Flask", "FastAPI", "Starlette", "Quart", "Litestar", "Bottle")},
    **dict.fromkeys(("get_wsgi_application", "get_asgi_application"), "Django"),
    "make_wsgi_app": "Pyramid",
}
"""Calls that make an application, and what made it."""

_NAMES = ("application", "app")
_FACTORIES = ("create_app", "make_app")
_LARGEST = 1_000_000  # bytes of a source; no application's main file is as large
_SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["'],\s*["']([\w.]+)["']""")

_IMPORTED, _FACTORY, _MADE = 1, 2, 3  # how good a find is


@record
class Found:
    """An application that a source seems to define."""

    spec: str  # the argument of pyfork
    kind: str  # "Flask", or "" where only the name tells
    path: str  # of the source, from the directory
    rank: int = _MADE


def discover(directory: str) -> list[Found]:
    """The applications in ``directory``: the best of each source, and only the best sources.

    One that is made comes before a factory, that before one which is only imported from elsewhere.
    Of ``wsgi.py`` and ``asgi.py`` side by side, as Django makes them, the first counts.
    """
    if django := _of_manage(directory):
        return [django]
    found = [each for path in _sources(directory) if (each := of_file(directory, path))]
    best = max((each.rank for each in found), default=0)
    chosen = [each for each in found if each.rank == best]
    paths = {each.path for each in chosen}
    return [
        each
        for each in chosen
        if os.path.basename(each.path) != "asgi.py"
        or os.path.join(os.path.dirname(each.path), "wsgi.py") not in paths
    ]


def of_file(directory: str, path: str) -> Found | None:
    """The application that the source at ``path``, relative to ``directory``, defines, if any."""
    try:
        with open(os.path.join(directory, path), "rb") as file:
            tree = ast.parse(file.read(_LARGEST))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    module = path.removesuffix(".py").removesuffix(f"{os.sep}__init__").replace(os.sep, ".")
    best = max(_definitions(tree.body), key=lambda each: each[:2], default=None)
    if best is None:
        return None
    rank, _, name, kind = best
    return Found(f"{module}:{name}", kind, path, rank)


def _sources(directory: str) -> Iterator[str]:
    """The files to look into, from ``directory``."""
    for name in FILES[:-1]:
        if os.path.isfile(os.path.join(directory, name)):
            yield name
    for package in _packages(directory):
        for name in FILES:
            if os.path.isfile(os.path.join(directory, package, name)):
                yield os.path.join(package, name)


def _packages(directory: str) -> Sequence[str]:
    try:
        names = sorted(name for name in os.listdir(directory) if name.isidentifier())
    except OSError:
        return []
    return [
        name
        for name in names
        if name == "app" or os.path.isfile(os.path.join(directory, name, "__init__.py"))
    ]


def _definitions(body: Sequence[ast.stmt]) -> Iterator[tuple[int, int, str, str]]:
    """For each name that may be an application: rank, preference among equals, name, kind."""
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name), *_], value=value):
                yield from _assignment(name, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield from _assignment(name, value)
            case ast.FunctionDef(name=name, args=arguments) if name in _FACTORIES:
                if len(arguments.args) == len(arguments.defaults) and not arguments.posonlyargs:
                    yield _FACTORY, 0, f"{name}()", "factory"
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name in _NAMES:
                yield _MADE, 1, name, ""
            case ast.ImportFrom(names=aliases):
                for alias in aliases:
                    name = alias.asname or alias.name
                    if name in _NAMES:
                        yield _IMPORTED, 0, name, ""
            case ast.Try(body=inner) | ast.With(body=inner):
                yield from _definitions(inner)
            case ast.If(body=inner, orelse=other) if not _is_main(statement):
                yield from _definitions([*inner, *other])


def _assignment(name: str, value: ast.expr) -> Iterator[tuple[int, int, str, str]]:
    kind = ""
    if isinstance(value, ast.Call):
        called = value.func
        callee = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        kind = _FRAMEWORKS.get(callee, "")
    if name in _NAMES:
        yield _MADE, 2 if kind else 1, name, kind
    elif kind:
        yield _MADE, 0, name, kind


def _is_main(statement: ast.If) -> bool:
    """``if __name__ == "__main__":``."""
    return any(
        isinstance(each, ast.Name) and each.id == "__name__" for each in ast.walk(statement.test)
    )


def _of_manage(directory: str) -> Found | None:
    """Django's: beside the settings that manage.py names, or in a package above them."""
    try:
        with open(os.path.join(directory, "manage.py"), encoding="utf-8", errors="replace") as file:
            settings = _SETTINGS.search(file.read(_LARGEST))
    except OSError:
        return None
    parts = settings[1].split(".") if settings else []
    for length in range(len(parts), 0, -1):
        for name in ("wsgi.py", "asgi.py"):
            path = os.path.join(*parts[:length], name)
            if os.path.isfile(os.path.join(directory, path)):
                found = of_file(directory, path)
                return found and Found(found.spec, "Django", path)
    return None
