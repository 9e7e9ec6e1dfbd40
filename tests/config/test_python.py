"""A Python configuration file: how it is found and run, and what is left of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyfork.config.command_line.arguments import parse
from pyfork.config.load import Loaded, load
from pyfork.errors import ConfigError


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What a configuration imports, and its directory on the path, go with the test."""
    modules, path = dict(sys.modules), sys.path[:]
    yield
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
    sys.path[:] = path


def read(directory: Path, name: str) -> Loaded:
    return load(parse(["-c", name]), {}, directory)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("pyfork.conf.py", "pyfork.conf.py"),
        ("file:settings", "settings"),
        ("file:other.py", "other.py"),
        ("python:deploy.settings", "deploy/settings.py"),
    ],
)
def test_it_is_named_as_one_likes(name: str, file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("workers = 3\n")
    loaded = read(tmp_path, name)
    assert (loaded.config.workers, loaded.origins["workers"]) == (3, f"{name}: workers")


def test_it_is_a_module_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import os, sys\nassert sys.modules[__name__].__dict__ is globals()\n"
        "own = os.path.basename(__file__)\nproc_name = own\n"
    )
    assert read(tmp_path, "a.py").config.name == "a.py"
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.parametrize("name", ["a.py", "python:a"])
def test_a_reload_reads_it_anew_and_what_it_imports(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from shared import workers\n")
    (tmp_path / "shared.py").write_text("workers = 3\n")
    assert read(tmp_path, name).config.workers == 3
    first = sys.modules["shared"]
    (tmp_path / "shared.py").write_text("workers = 4  # longer\n")
    assert read(tmp_path, name).config.workers == 4
    assert sys.modules["shared"] is not first
    assert "pytest" in sys.modules


def test_what_fails_leaves_the_modules_of_before(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import shared\nworkers = 1\n")
    (tmp_path / "shared.py").write_text("")
    read(tmp_path, "a.py")
    first = sys.modules["shared"]
    for mistake in ("1 / 0", "daemon = True"):
        (tmp_path / "a.py").write_text(f"import shared\n{mistake}\n")
        with pytest.raises(ConfigError):
            read(tmp_path, "a.py")
        assert sys.modules["shared"] is first


def test_a_failure_further_down_has_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import shared\n")
    (tmp_path / "shared.py").write_text("def work():\n    return {}['x']\nwork()\n")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "a.py")
    assert str(caught.value) == "a.py: line 1: KeyError: 'x'"
    assert "shared.py" in caught.value.detail
    assert "in work" in caught.value.detail
    assert "pyfork/config" not in caught.value.detail


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.py", "none.py: cannot be read: No such file or directory"),
        ("python:nowhere", "python:nowhere: ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_what_is_not_there_is_named(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, name)
    assert str(caught.value) == message


def test_a_hook_is_no_matter_for_toml(tmp_path: Path) -> None:
    (tmp_path / "pyfork.toml").write_text('when_ready = "a:b"\n')
    with pytest.raises(ConfigError, match="when_ready: write it in a Python file"):
        load(parse([]), {}, tmp_path)


def test_post_request_takes_as_much_as_it_wants(tmp_path: Path) -> None:
    for parameters in ("a, b", "a, b, c", "a, b, c, d", "*all"):
        (tmp_path / "a.py").write_text(f"def post_request({parameters}): return 'called'\n")
        hook = read(tmp_path, "a.py").config.post_request
        assert hook is not None
        assert hook(1, 2, 3, 4) == "called"


def test_nothing_of_this_is_imported_unless_it_is_used() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pyfork.config.command_line.arguments import parse\n"
        "from pyfork.config.load import load\n"
        "load(parse(['a:b', '-w', '2', '-k', 'sync']), {}, Path('/'))\n"
        "import pyfork.arbiter.build, pyfork.worker.wsgi.worker\n"
        "print(*[n for n in sys.modules if n.startswith(('pyfork.config.compat', 'pyfork.hooks',"
        " 'pyfork.config.sources.python_file', 'pyfork.config.sources.dotenv',"
        " 'pyfork.worker.request_hooks'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == ""
