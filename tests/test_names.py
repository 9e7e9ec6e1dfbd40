"""Each class name stands for one class, and no name is of this repository's own making."""

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODULES = sorted(ROOT.glob("pyfork/**/*.py"))

# Metaphors that had to be explained; docs/glossary.md has the words in their place.
OLD = re.compile(
    "accession|bequest|bereavement|bury|crew|desk|disown|doomed|errands?|estate|faces|furnish|heed"
    "|herald|heritage|house|interregnum|liaison|obey|oneself|predecessor|premises|rehearsal"
    "|successor|trays?"
)


def test_a_class_name_stands_for_one_class() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: paths for name, paths in places.items() if len(paths) > 1}


def test_no_metaphor_is_back() -> None:
    """Among modules, classes and functions."""
    found = set()
    for path in MODULES:
        names = {path.stem}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(node.name)
        for name in names:
            if any(
                map(OLD.fullmatch, re.findall("[a-z]+", re.sub("(?=[A-Z])", "_", name).lower()))
            ):
                found.add(f"{path.relative_to(ROOT)}: {name}")
    assert not found
