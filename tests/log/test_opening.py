"""Log files in directories that others may write to: what they may have planted there."""

import os
import stat
from pathlib import Path

import pytest

from pyfork.config.config import Config
from pyfork.errors import ConfigError
from pyfork.log import setup
from pyfork.log.opening import open_log
from pyfork.log.sink import Sink
from tests.harness.planted_files import (
    NOBODY,
    SOMEBODY,
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

pytestmark = needs_root

PLANTED = [
    (link, "error.log is a symbolic link of user 65534"),
    (hard_link, "it has another name"),
    (fifo, "no process reads this FIFO"),
    (directory, "Is a directory"),
    (file, "it belongs to user 65534"),
]


@pytest.mark.parametrize(("plant", "why"), PLANTED, ids=[each[0].__name__ for each in PLANTED])
def test_planted_at_the_logs_name(plant, why: str, shared: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    plant(shared / "error.log", victim)
    if plant is not hard_link:
        give_away(shared / "error.log")
    config = Config(error_logfile=str(shared / "error.log"), user=str(SOMEBODY))
    with pytest.raises(ConfigError) as refused:
        setup.configure(config)
    assert why in str(refused.value)
    assert (victim.read_text(), victim.stat().st_uid) == ("untouched", 0)


def test_fifo_of_another_that_somebody_reads(shared: Path) -> None:
    path = shared / "error.log"
    os.mkfifo(path)
    os.chown(path, NOBODY, NOBODY)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(PermissionError, match="belongs to user 65534"):
            open_log(str(path))
    finally:
        os.close(reader)


def test_link_on_the_way(shared: Path, tmp_path: Path) -> None:
    """Or the file would be made, and given away, wherever it leads to."""
    (shared / "logs").symlink_to(tmp_path)
    os.chown(shared / "logs", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(PermissionError, match="logs is a symbolic link of user 65534"):
        open_log(str(shared / "logs" / "error.log"))
    assert not list(tmp_path.iterdir())


DEPLOYED = "releases/42/log"


@pytest.fixture
def deployed(shared: Path) -> Path:
    """What a user deploys, with a link to the release that is current."""
    (shared / DEPLOYED).mkdir(parents=True)
    (shared / "current").symlink_to("releases/42")
    for path in (shared, *shared.rglob("*")):
        os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)
    return shared


@pytest.mark.parametrize("target", ["releases/42", "{}/releases/42", "current.0"])
def test_link_of_a_user_into_the_same_users_directory(target: str, deployed: Path) -> None:
    """As deploys have it: ``current -> releases/42``; the log is another user's, --user."""
    (deployed / "current.0").symlink_to("releases/../releases/42/.")
    (deployed / "current").unlink()
    (deployed / "current").symlink_to(target.format(deployed))
    for name in ("current", "current.0"):
        os.chown(deployed / name, SOMEBODY, SOMEBODY, follow_symlinks=False)
    deployed.chmod(0o775)
    path = str(deployed / "current" / "log" / "error.log")
    for _ in range(2):
        sink = Sink(path, stream=2, owner=(NOBODY, NOBODY))
        sink.write("line")
        sink.close()
    log = deployed / DEPLOYED / "error.log"
    assert (log.read_text(), log.stat().st_uid) == ("line\nline\n", NOBODY)


def test_link_of_a_user_into_a_directory_of_roots(deployed: Path, tmp_path: Path) -> None:
    """Below the user's directory, or elsewhere; by one link, or by two."""
    inner = deployed / "releases" / "root"
    inner.mkdir()
    (deployed / "next").symlink_to("current")
    os.chown(deployed / "next", SOMEBODY, SOMEBODY, follow_symlinks=False)
    for target in (inner, tmp_path):
        (deployed / "current").unlink()
        (deployed / "current").symlink_to(target)
        os.chown(deployed / "current", SOMEBODY, SOMEBODY, follow_symlinks=False)
        for name in ("current", "next"):
            with pytest.raises(PermissionError, match="of user 4711 to a directory of user 0"):
                open_log(str(deployed / name / "error.log"))
        assert not list(target.iterdir())


def test_link_of_a_user_to_a_file_of_roots(deployed: Path, tmp_path: Path) -> None:
    """Behind a directory that may be gone into."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (deployed / DEPLOYED / "error.log").symlink_to(victim)
    os.chown(deployed / DEPLOYED / "error.log", SOMEBODY, SOMEBODY, follow_symlinks=False)
    with pytest.raises(PermissionError, match="of user 4711 to a directory of user 0"):
        open_log(str(deployed / "current" / "log" / "error.log"))
    (deployed / DEPLOYED / "error.log").unlink()
    (deployed / DEPLOYED / "error.log").hardlink_to(victim)
    with pytest.raises(PermissionError, match="it has another name"):
        open_log(str(deployed / "current" / "log" / "error.log"))
    assert victim.read_text() == "untouched"


def test_links_of_two_users(deployed: Path) -> None:
    """One user's link leads through another's, who could change where it goes."""
    (deployed / "current").unlink()
    (deployed / "current").symlink_to("releases/latest")
    (deployed / "releases" / "latest").symlink_to("42")
    os.chown(deployed / "current", SOMEBODY, SOMEBODY, follow_symlinks=False)
    os.chown(deployed / "releases" / "latest", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(PermissionError, match="latest is a symbolic link of user 65534"):
        open_log(str(deployed / "current" / "log" / "error.log"))


def test_loop_of_links_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        open_log(str(tmp_path / "a"))


@pytest.mark.parametrize(
    "target", ["{}/inner/there.log", "inner/there.log", "./inner/../there.log"]
)
def test_links_of_root_are_followed(target: str, shared: Path) -> None:
    (shared / "inner").mkdir()
    (shared / "error.log").symlink_to(target.format(shared))
    os.close(open_log(str(shared / "error.log")))
    assert [path for path in shared.rglob("*") if path.name == "there.log"]


def test_file_of_the_workers_is_taken_and_stays_theirs(shared: Path) -> None:
    path = shared / "error.log"
    path.write_text("before\n")
    os.chown(path, NOBODY, NOBODY)
    sink = Sink(str(path), stream=2, owner=(NOBODY, NOBODY))
    sink.write("line")
    path.rename(shared / "error.log.1")
    sink.reopen()
    sink.write("next")
    sink.close()
    assert (shared / "error.log.1").read_text() == "before\nline\n"
    assert (path.read_text(), path.stat().st_uid) == ("next\n", NOBODY)


def test_planted_before_a_rotation(shared: Path, tmp_path: Path) -> None:
    """It is told in the log that is open, and that goes on."""
    path, victim = shared / "error.log", tmp_path / "victim"
    setup.configure(Config(error_logfile=str(path)))
    path.rename(shared / "error.log.1")
    path.symlink_to(victim)
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    setup.reopen()
    assert "cannot reopen log file" in (shared / "error.log.1").read_text()
    assert not victim.exists()


def test_another_user_is_as_careful_where_all_may_write(shared: Path, tmp_path: Path) -> None:
    shared.chmod(0o1777)
    (shared / "own.log").write_text("")
    (shared / "error.log").symlink_to("own.log")
    os.chown(shared / "error.log", SOMEBODY, SOMEBODY, follow_symlinks=False)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(PermissionError, match="symbolic link of user 4711"):
            open_log(str(shared / "error.log"))
        os.close(open_log(str(shared / "mine.log")))
    finally:
        os.seteuid(0)


def test_what_is_no_file_is_not_given_away() -> None:
    sink = Sink("/dev/null", stream=2, owner=(NOBODY, NOBODY))
    sink.write("x")
    sink.close()
    assert os.stat("/dev/null").st_uid == 0


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_names_of_stdout(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    sink = Sink(path, stream=2, owner=(NOBODY, NOBODY))
    sink.write("line")
    sink.close()
    assert capfd.readouterr() == ("line\n", "")
    assert not stat.S_ISSOCK(os.fstat(1).st_mode)
