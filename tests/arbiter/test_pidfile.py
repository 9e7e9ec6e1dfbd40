"""The pid file in a directory that others may write to."""

import os
import stat
from pathlib import Path

import pytest

from pyfork.system.pidfile import PidFile, PidFileError
from tests.harness.planted_files import (
    NOBODY,
    directory,
    fifo,
    file,
    give_away,
    hard_link,
    link,
    needs_root,
    shared,
)

__all__ = ["shared"]


@needs_root
@pytest.mark.parametrize("plant", [link, hard_link, file])
def test_planted_file_is_replaced_not_written_to(plant, shared: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path, victim = shared / "pid", tmp_path / "victim"
    victim.write_text("untouched")
    plant(path, victim)
    if plant is not hard_link:
        give_away(path)
    made = PidFile.claim(str(path))
    found = path.lstat()
    assert stat.S_ISREG(found.st_mode)
    assert (found.st_uid, found.st_nlink, stat.S_IMODE(found.st_mode)) == (0, 1, 0o644)
    assert int(path.read_text()) == os.getpid()
    assert victim.read_text() == "untouched"
    made.release()
    assert list(shared.iterdir()) == []


@pytest.mark.parametrize("plant", [fifo, directory])
def test_what_is_no_file_is_kept(plant, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """And a FIFO that nobody writes to does not hold the arbiter up."""
    path = tmp_path / "pid"
    plant(path, tmp_path)
    before = path.stat()
    with pytest.raises(PidFileError, match="it is not a regular file"):
        PidFile.claim(str(path))
    assert path.stat().st_ino == before.st_ino
    assert list(tmp_path.iterdir()) == [path]


@needs_root
def test_planted_at_the_names_that_drafts_had(shared: Path, tmp_path: Path) -> None:
    """Drafts were named after the process id, which others can foresee."""
    draft = shared / f"pid.{os.getpid()}"
    draft.symlink_to(tmp_path / "victim")
    PidFile.claim(str(shared / "pid")).release()
    assert draft.is_symlink()
    assert not (tmp_path / "victim").exists()


@needs_root
def test_link_of_another_on_the_way(shared: Path, tmp_path: Path) -> None:
    (shared / "run").symlink_to(tmp_path)
    os.chown(shared / "run", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(PidFileError, match="run is a symbolic link of user 65534"):
        PidFile.claim(str(shared / "run" / "pid"))
    assert list(tmp_path.iterdir()) == []


def test_link_of_ones_own_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to("run")
    made = PidFile.claim(str(tmp_path / "var" / "pid"))
    assert int((tmp_path / "run" / "pid").read_text()) == os.getpid()
    made.release()
    assert list((tmp_path / "run").iterdir()) == []


def test_release_leaves_what_another_has_put_there(tmp_path: Path) -> None:
    made = PidFile.claim(str(tmp_path / "pid"))
    (tmp_path / "other").write_text(f"{os.getpid()}\n")
    (tmp_path / "pid").unlink()
    (tmp_path / "pid").symlink_to("other")
    made.release()
    assert (tmp_path / "pid").is_symlink()
