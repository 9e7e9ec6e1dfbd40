"""Parser for the name of an application on the command line. Pure."""

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
    attributes: tuple[str, ...]  # empty: search the usual names
    call: tuple[tuple[Any, ...], dict[str, Any]] | None  # arguments of the call, if there is one

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> AppSpec:
    """Parse ``text``; the path of a source below the current directory is a module too.

    Raises:
        BootError: it is another path, or malformed; the message says what to write.
    """
    module, colon, rest = text.partition(":")
    if "/" in module or module.endswith(".py"):
        module = _module_of_path(module, rest)
        text = f"{module}{colon}{rest}"
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
    """Evaluate literals. Raises ValueError for anything else."""
    keywords = {}
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise ValueError("** in a call")
        keywords[keyword.arg] = ast.literal_eval(keyword.value)
    return tuple(ast.literal_eval(arg) for arg in tree.args), keywords


def _malformed(text: str) -> BootError:
    shorter = text.rstrip(":")
    if shorter and shorter != text:
        return BootError(f"cannot load {text}: a colon too many: write {shorter}")
    return BootError(
        f"cannot load {text}: write module:name, for example myapp:app, myapp:create_app() or "
        "package.module:app"
    )


def _module_of_path(path: str, rest: str) -> str:
    """``shop.web`` of ``./shop/web.py``. Raises BootError: it is not below this directory."""
    directory, name = os.path.split(os.path.normpath(path.removesuffix(".py")))
    if os.path.isabs(path) or directory.startswith(".."):
        attribute = f":{rest}" if rest else ""
        raise BootError(
            f"cannot load {path}{attribute}: it is in another directory; write --chdir {directory} "
            f"{name}{attribute}"
        )
    return ".".join(part for part in (*directory.split(os.sep), name) if part)
