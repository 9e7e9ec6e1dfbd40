"""The commands of a contributor, from a fresh clone: ``python3 -m tests COMMAND [ARGUMENT ...]``.

    setup       create .venv and install pyfork with what its tests need
    programs    install the programs that tests start (Debian, as root)
    check       ruff, its formatter and mypy
    test        the tests; arguments go to pytest
    soak        the long tests; arguments go to pytest
    compiled    compile a copy, and run tests against it; arguments go to pytest
    docs        write the generated pages anew, and build the site into site/
    package     build the wheel and the source distribution, and check both
    bench       compare pyfork with other servers; arguments go to tests.bench
    count       count the instructions of a request, against what is recorded (valgrind)

Each runs in the virtual environment that is active, else in .venv, which it creates.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests import programs

ROOT = Path(__file__).parents[1]
VENV = ROOT / ".venv"

# Each page, and the module that prints it.
PAGES = {
    "docs/settings.md": "pyfork.config.docs",
    "docs/signals.md": "pyfork.arbiter.commands.signals",
    "docs/states.md": "tests.docs.states",
}


# What a compiled copy consists of, and the tests that run against it.
COPIED = ("pyfork", "tests", "docs", "examples", "pyproject.toml", "hatch_build.py", "README.md")
COMPILED_TESTS = (
    "tests/http",
    "tests/wsgi",
    "tests/end_to_end/serving",
    "tests/end_to_end/tls",
    "tests/fuzz",
)


def setup(python: str, arguments: Sequence[str]) -> int:
    return _install(python, "test")


def install_programs(python: str, arguments: Sequence[str]) -> int:
    programs.install()
    return 0


def check(python: str, arguments: Sequence[str]) -> int:
    ruff = (python, "-m", "ruff")
    return _run(*ruff, "check") or _run(*ruff, "format", "--check") or _run(python, "-m", "mypy")


def test(python: str, arguments: Sequence[str]) -> int:
    return _run(python, "-m", "pytest", "-n", "4", *arguments)


def soak(python: str, arguments: Sequence[str]) -> int:
    options = ("-m", "soak", "-n", "3", "--dist", "load", "--timeout", "600")
    return _install(python, "test,realworld,package") or _run(
        python, "-m", "pytest", *options, *arguments
    )


def compiled(python: str, arguments: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="pyfork-compiled-") as directory:
        copy = Path(directory)
        for name in COPIED:
            path = ROOT / name
            if path.is_dir():
                shutil.copytree(path, copy / name, ignore=shutil.ignore_patterns("*.so"))
            else:
                shutil.copy(path, copy)
        if status := _run(python, "hatch_build.py", cwd=copy):
            return status
        os.environ["PYTHONPATH"] = directory
        version = _run(python, "-m", "pyfork", "--version", cwd=copy)
        options = ("-n", "4", *(arguments or COMPILED_TESTS))
        return version or _run(python, "-m", "pytest", *options, cwd=copy)


def docs(python: str, arguments: Sequence[str]) -> int:
    for page, module in PAGES.items():
        text = subprocess.run([python, "-m", module], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        (ROOT / page).write_bytes(text.stdout)
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # about the theme, not about the site
    build = ("-m", "mkdocs", "build", "--strict", "-q", "-f", ".mkdocs/mkdocs.yml", *arguments)
    return _install(python, "docs") or _run(python, *build)


def package(python: str, arguments: Sequence[str]) -> int:
    options = ("-m", "soak", "tests/packages", *arguments)
    return _install(python, "test,package") or _run(python, "-m", "pytest", *options)


def bench(python: str, arguments: Sequence[str]) -> int:
    return _install(python, "bench") or _run(python, "-m", "tests.bench", *arguments)


def count(python: str, arguments: Sequence[str]) -> int:
    return _run(python, "-m", "tests.bench.instructions", *arguments)


COMMANDS: dict[str, Callable[[str, Sequence[str]], int]] = {
    "setup": setup,
    "programs": install_programs,
    "check": check,
    "test": test,
    "soak": soak,
    "compiled": compiled,
    "docs": docs,
    "package": package,
    "bench": bench,
    "count": count,
}


def _python() -> str:
    """The interpreter of the active virtual environment, else of .venv, which is created."""
    if sys.prefix != sys.base_prefix:
        return sys.executable
    python = str(VENV / "bin" / "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        _install(python, "test")
    return python


def _install(python: str, extras: str) -> int:
    return _run(python, "-m", "pip", "install", "-q", "-e", f".[{extras}]")


def _run(*words: str, cwd: Path = ROOT) -> int:
    print("$", *("python" if word == words[0] else word for word in words), flush=True)
    return subprocess.run(words, cwd=cwd, check=False).returncode


def main() -> int:
    if len(sys.argv) < 2 or not (command := COMMANDS.get(sys.argv[1])):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    if command is install_programs:
        return command(sys.executable, ())
    return command(_python(), sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
