"""The table of rooms in docs/design.md, enforced over the import statements."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(ROOT.glob("pyfork/**/*.py"))

GROUND, SYSTEM, TOOLS, LOADER, DISPATCH, CHILD, CLUSTER, PARENT, CLIENT, DOOR = range(10)

# The longest prefix that fits says which layer a module is in.
LAYERS = {
    "pyfork": GROUND,  # its version
    "pyfork.annotations": GROUND,
    "pyfork.errors": GROUND,
    "pyfork.record": GROUND,
    "pyfork.address": GROUND,
    "pyfork.clock": GROUND,
    "pyfork.compiled": GROUND,
    "pyfork.ipc.fd_name": GROUND,
    "pyfork.ipc.messages": GROUND,
    "pyfork.supervisor": GROUND,
    "pyfork.system": SYSTEM,
    "pyfork.config": TOOLS,
    "pyfork.child": TOOLS,
    "pyfork.log": TOOLS,
    "pyfork.ipc": TOOLS,
    "pyfork.net": TOOLS,
    "pyfork.hooks": TOOLS,
    "pyfork.metrics": TOOLS,
    "pyfork.loader": LOADER,
    "pyfork.dispatch": DISPATCH,
    "pyfork.http": CHILD,
    "pyfork.worker": CHILD,
    "pyfork.dev": CHILD,
    "pyfork.status": CHILD,
    "pyfork.cluster": CLUSTER,
    "pyfork.arbiter": PARENT,
    "pyfork.ctl": CLIENT,
    "pyfork.cli": DOOR,
    "pyfork.django": DOOR,
    "pyfork.__main__": DOOR,
    "pyfork.reexec": DOOR,
}
# Layers above that are out of bounds all the same.
STRANGERS = {PARENT: {CHILD, LOADER}, CLIENT: {CHILD, LOADER, CLUSTER}}

# Entries of a folder, `__init__.py` among them.
MOST_ENTRIES = 15
ROOMS = ("arbiter", "cluster", "dev", "http", "worker")

# What the supervisor must never see: it decides, and does nothing.
WORLD = {"os", "signal", "socket", "time", "logging", "select", "selectors", "threading", "asyncio"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> int:
    fits = [prefix for prefix in LAYERS if f"{module}.".startswith(f"{prefix}.")]
    prefix = max(fits, key=len)
    assert prefix != "pyfork" or module == "pyfork", f"{module} is in no room of the table"
    return LAYERS[prefix]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in names if is_module(name)}
            found |= modules if len(modules) == len(names) else modules | {node.module}
    return found


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_its_own_layer_and_above(path: Path) -> None:
    own = layer(name_of(path))
    for imported in imports(path):
        if imported.partition(".")[0] == "pyfork":
            theirs = layer(imported)
            assert theirs <= own, f"imports {imported}, from a layer below"
            assert theirs not in STRANGERS.get(own, ()), f"imports {imported}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    names = {name_of(path) for path in MODULES}
    found = {name_of(path): imports(path) & names for path in MODULES}
    assert [circle for circle in strongly_connected(found) if len(circle) > 1] == []


def test_no_folder_of_a_room_is_crowded() -> None:
    folders = {path.parent for room in ROOMS for path in ROOT.glob(f"pyfork/{room}/**/__init__.py")}
    entries = {folder: [*folder.glob("*.py"), *folder.glob("*/__init__.py")] for folder in folders}
    assert [str(folder) for folder, found in entries.items() if len(found) > MOST_ENTRIES] == []


def strongly_connected(edges: dict[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that reach one another, each sorted."""
    reached = {node: reach(edges, node) for node in edges}
    groups = {
        tuple(sorted(other for other in reached[node] | {node} if node in reached[other] | {other}))
        for node in edges
    }
    return sorted(list(group) for group in groups)


def reach(edges: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = edges[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


@pytest.mark.parametrize(
    "path", [path for path in MODULES if layer(name_of(path)) == GROUND], ids=name_of
)
def test_the_ground_is_pure(path: Path) -> None:
    assert not imports(path) & WORLD


def test_every_prefix_of_the_table_is_needed() -> None:
    names = {name_of(path) for path in MODULES}
    later = {"pyfork.dev", "pyfork.cluster", "pyfork.ctl", "pyfork.metrics", "pyfork.http"}
    assert set(LAYERS) - later <= names
