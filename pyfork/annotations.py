"""The annotations of an object, whatever the names in them mean at run time.

CPython 3.14 evaluates annotations when they are asked for (PEP 649): a name that is imported for
type checkers alone is an error only then, and not for who asks for forward references (PEP 749).
"""

from importlib import import_module
from typing import Any


def annotations(of: Any) -> dict[str, Any]:
    """The annotations of a class, without those that it inherits, or of a function."""
    try:
        found: dict[str, Any] = getattr(of, "__annotations__", {})
    except NameError:
        found = _library().get_annotations(of, format=forward_references())
    return found


def forward_references() -> Any:
    """The format of annotations in which a name that means nothing is no error: 3.14 and later."""
    return _library().Format.FORWARDREF


def _library() -> Any:
    return import_module("annotationlib")  # large, and seldom needed
