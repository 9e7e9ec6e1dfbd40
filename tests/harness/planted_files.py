"""What another user may put at the name of a file that root is about to write."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY, SOMEBODY = 65534, 4711

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files of several users need root")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory of another user's, on a way that everybody may go."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    os.chown(directory, NOBODY, NOBODY)
    yield directory
    shutil.rmtree(directory)


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def fifo(path: Path, victim: Path) -> None:
    os.mkfifo(path)


def directory(path: Path, victim: Path) -> None:
    path.mkdir()


def file(path: Path, victim: Path) -> None:
    path.write_text("")


def give_away(path: Path) -> None:
    """Make it the other user's, and not what a link leads to."""
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
