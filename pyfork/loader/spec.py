"""What the user writes to name an application, taken apart. Pure."""

import ast
import os
from keyword import iskeyword
from typing import Any

from pyfork.errors import BootError
from pyfork.record import record


@record
class AppSpec:
    """``module:attr.sub(arguments)``."""

    text: str
    module: str
    attributes: tuple[str, ...]  # empty: look for the usual names
    call: tuple[tuple[Any, ...], dict[str, Any]] | None  # arguments, if it is to be called

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> AppSpec:
    """The parts of ``text``.

    Raises:
        BootError: it is a path, or not of the form; the message says what to write.
    """
    module, colon, rest = text.partition(":")
    if "/" in module or os.sep in module or module.endswith(".py"):
        raise BootError(f"cannot load {text}: {_from_path(module, rest)}")
    if not all(name.isidentifier() for name in module.split(".")) or (colon and not rest):
        raise _malformed(text)
    names = tuple(rest.split(".")) if colon else ()
    if all(name.isidentifier() and name.isascii() and not iskeyword(name) for name in names):
        return AppSpec(text, module, names, None)
    try:
        tree = ast.parse(rest, mode="eval").body
        call = None
        if isinstance(tree, ast.Call):
            call = _arguments(tree)
            tree = tree.func
        return AppSpec(text, module, _names(tree), call)
    except SyntaxError as error:
        raise _malformed(text) from error
    except ValueError as error:
        raise BootError(
            f"cannot load {text}: a factory's arguments can only be literals, such as 'x', 1, "
            "True or [1, 2]"
        ) from error


def _names(tree: ast.expr) -> tuple[str, ...]:
    if isinstance(tree, ast.Name):
        return (tree.id,)
    if isinstance(tree, ast.Attribute):
        return (*_names(tree.value), tree.attr)
    raise SyntaxError("neither a name nor an attribute")


def _arguments(tree: ast.Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """ValueError for anything that is no literal."""
    keywords = {}
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise ValueError("** in a call")
        keywords[keyword.arg] = ast.literal_eval(keyword.value)
    return tuple(ast.literal_eval(arg) for arg in tree.args), keywords


def _malformed(text: str) -> BootError:
    return BootError(
        f"cannot load {text}: write module:name, for example myapp:app, myapp:create_app() or "
        "package.module:app"
    )


def _from_path(path: str, rest: str) -> str:
    """The advice for somebody who wrote a file's path."""
    directory, name = os.path.split(os.path.normpath(path.removesuffix(".py")))
    attribute = f":{rest}" if rest else ""
    if os.path.isabs(path) or directory.startswith(".."):
        return f"that is a path; write --chdir {directory} {name}{attribute}"
    dotted = ".".join(part for part in (*directory.split(os.sep), name) if part)
    return f"that is a path; write the module's name instead: {dotted}{attribute}"
