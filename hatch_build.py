"""The build hook of the package: with PYFORK_COMPILE=1 in the environment it compiles modules.

mypyc makes C extensions of the modules of the hot path, from the same source. Without the variable
the package is pure Python, and nothing is compiled. `docs/contribute.md` has the commands.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent

# Modules that mypyc compiles into one library. A native class and its subclasses are compiled
# together, unless its `mypyc_attr` allows others. Not compiled: exceptions and records.
MODULES = (
    "pyfork/http/cache.py",
    "pyfork/http/asgi/gateway.py",
    "pyfork/http/asgi/scope.py",
    "pyfork/http/connection/application_section.py",
    "pyfork/http/connection/connection.py",
    "pyfork/http/connection/engine.py",
    "pyfork/http/connection/exchange.py",
    "pyfork/http/connection/response_writer.py",
    "pyfork/http/connection/transport.py",
    "pyfork/http/connection/turns.py",
    "pyfork/http/request/authority.py",
    "pyfork/http/request/chunked.py",
    "pyfork/http/request/field_template.py",
    "pyfork/http/request/h11_parser.py",
    "pyfork/http/request/head.py",
    "pyfork/http/request/head_reader.py",
    "pyfork/http/request/incremental_head.py",
    "pyfork/http/request/parser.py",
    "pyfork/http/request/parsing.py",
    "pyfork/http/response/head.py",
    "pyfork/http/response/head_cache.py",
    "pyfork/http/tls/connection.py",
    "pyfork/http/tls/gateways.py",
    "pyfork/http/wsgi/body.py",
    "pyfork/http/wsgi/environ.py",
    "pyfork/http/wsgi/gateway.py",
    "pyfork/http/wsgi/runners.py",
    "pyfork/http/wsgi/status_line.py",
    "pyfork/worker/offload/overflow.py",
)
LIBRARY = "pyfork.http.compiled"  # of all modules; `pyfork.compiled` looks for it

NEEDS = ("mypy>=2.4", "setuptools>=77")


class CompileHook(BuildHookInterface[Any]):
    """Compiles for a wheel, and in place for an editable installation."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return list(NEEDS) if _is_asked_for() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        if version == "editable":  # an earlier build would be imported in place of the source
            for built in extensions(ROOT):
                built.unlink()
        if not _is_asked_for():
            return
        self._made = tempfile.TemporaryDirectory()
        compile_modules(ROOT, Path(self._made.name))
        for built in extensions(Path(self._made.name)):
            path = built.relative_to(self._made.name)
            if version == "editable":
                shutil.copy(built, ROOT / path)
            else:
                build_data["force_include"][str(built)] = str(path)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if (made := getattr(self, "_made", None)) is not None:
            made.cleanup()


def _is_asked_for() -> bool:
    return os.environ.get("PYFORK_COMPILE") == "1"


def extensions(root: Path) -> Iterator[Path]:
    """The compiled modules below ``root``."""
    return (root / "pyfork").rglob("*.cpython-*.so")


def compile_modules(source: Path, target: Path) -> None:
    """Compile the modules of ``source`` into ``target``, which gets the same folders."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    before = os.getcwd()
    os.chdir(source)  # the names of modules are relative to it
    try:
        with tempfile.TemporaryDirectory() as directory:
            options = ("--config-file=", "--ignore-missing-imports")
            extension_modules = mypycify(
                [*options, f"--cache-dir={directory}/cache", *MODULES],
                group_name=LIBRARY,
                target_dir=f"{directory}/c",
                opt_level=os.environ.get("PYFORK_OPT", "3"),
                debug_level="1",
            )
            command = Distribution({"name": "pyfork", "ext_modules": extension_modules})
            build = command.get_command_obj("build_ext")
            build.build_lib, build.build_temp = str(target), f"{directory}/objects"
            build.ensure_finalized()
            build.run()
    finally:
        os.chdir(before)


if __name__ == "__main__":
    compile_modules(ROOT, Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
