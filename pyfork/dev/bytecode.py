"""No bytecode of what has just been saved.

Python takes a .pyc file for current when the source has the size and the second of its last write
that were noted in it. Two saves within a second, as of an editor and then of a formatter, may agree
in both: the new code would never be seen. So the bytecode of a source is written only when the
second in which it was saved is over.
"""

import importlib
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)

SETTLED = 2.0  # seconds; file systems may keep times in steps of two


class _BytecodeLoader(SourceFileLoader):
    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Write bytecode, or leave it."""
        with suppress(OSError):
            if time.time() - os.stat(self.path).st_mtime > SETTLED:
                super().set_data(path, data, _mode=_mode)  # type: ignore[arg-type]


def install(directories: Iterable[str]) -> None:
    """From now on, for modules below ``directories``, and for all that nobody has looked for."""
    finder = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (_BytecodeLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )
    sys.path_hooks.insert(0, finder)
    for directory in directories:
        for path in list(sys.path_importer_cache):
            if path == directory or path.startswith(directory + os.sep):
                del sys.path_importer_cache[path]
    importlib.invalidate_caches()
