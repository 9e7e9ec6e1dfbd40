"""The build hook that compiles; `python3 -m tests compiled` runs tests against what it makes."""

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def modules() -> tuple[str, ...]:
    pytest.importorskip("hatchling")
    listed: tuple[str, ...] = runpy.run_path(str(ROOT / "hatch_build.py"))["MODULES"]
    return listed


def test_a_class_and_its_subclasses_are_compiled_together() -> None:
    compiled = set(modules())
    bases: dict[str, set[str]] = {}
    homes: dict[str, str] = {}
    for path in sorted(ROOT.glob("pyfork/**/*.py")):
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.decorator_list:
                homes[f"{name}:{node.name}"] = name
                bases[f"{name}:{node.name}"] = {
                    base.id for base in node.bases if isinstance(base, ast.Name)
                }
    native = {where.partition(":")[2] for where, home in homes.items() if home in compiled}
    outside = {
        where for where, names in bases.items() if homes[where] not in compiled and names & native
    }
    assert {where for where in outside if where.startswith("pyfork/http/")} == set()


def test_mypyc_defines_each_default_that_is_none() -> None:
    """It leaves one undefined whose type has three parts, or is a protocol that is compiled."""
    trees = {name: ast.parse((ROOT / name).read_text()) for name in modules()}
    kinds = [
        each for tree in trees.values() for each in tree.body if isinstance(each, ast.ClassDef)
    ]
    protocols = {
        kind.name for kind in kinds if any("Protocol" in ast.unparse(b) for b in kind.bases)
    }
    found = []
    for kind in kinds:
        for node in kind.body:
            if not isinstance(node, ast.AnnAssign) or ast.unparse(node.value or node) != "None":
                continue
            parts = {part.strip(" '") for part in ast.unparse(node.annotation).split("|")}
            if len(parts) > 2 or parts & protocols:
                found.append(f"{kind.name}.{ast.unparse(node.target)}")
    assert found == []


def test_the_listed_modules_exist() -> None:
    assert [name for name in modules() if not (ROOT / name).is_file()] == []


def test_the_version_says_which_build_runs() -> None:
    """Of the build that is tested: an extension would be imported in place of its source."""
    code = "import pyfork.http.request.head as head, pyfork.compiled as c; "
    code += "print(head.__file__.endswith('.so') == c.is_compiled())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    assert found.stdout == b"True\n"
