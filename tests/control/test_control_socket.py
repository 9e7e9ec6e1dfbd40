"""The path of the control socket; a server starts without one, too."""

import os
import shutil
import signal
import socket
import stat
from pathlib import Path

import pytest

from pyfork.net import control_socket, unix
from pyfork.system.environment import runtime_directories
from tests.harness.site import ControlWire, Site


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only runtime directory that there is."""
    directory = tmp_path / "pyfork"
    monkeypatch.setattr(control_socket, "runtime_directories", lambda: [directory])
    return directory


def close(place: control_socket.BoundSocket | None) -> None:
    assert place
    end, file = place
    end.close()
    assert file
    file.remove()


def test_it_is_made(here: Path) -> None:
    place = control_socket.listen("auto")
    assert list(control_socket.sockets()) == [str(here / f"{os.getpid()}.sock")]
    assert stat.S_IMODE(here.stat().st_mode) == 0o700
    close(place)
    assert list(control_socket.sockets()) == []


def test_off(here: Path) -> None:
    assert control_socket.listen("off") is None
    assert not here.exists()


def test_a_directory_that_others_may_write_to_is_not_used(here: Path) -> None:
    here.mkdir()
    here.chmod(0o770)
    assert control_socket.listen("auto") is None
    assert list(control_socket.sockets()) == []


def test_a_link_is_not_followed(here: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    here.symlink_to(tmp_path / "elsewhere")
    assert control_socket.listen("auto") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory away")
def test_a_directory_of_another_user_is_not_used(here: Path) -> None:
    here.mkdir(mode=0o700)
    os.chown(here, 65534, 65534)
    assert control_socket.listen("auto") is None


def test_the_next_directory_is_used_where_one_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the way, and a path that is too long for a socket."""
    (tmp_path / "file").write_text("")
    directories = [tmp_path / "file", tmp_path / ("x" * 100), tmp_path / "good"]
    monkeypatch.setattr(control_socket, "runtime_directories", lambda: directories)
    place = control_socket.listen("auto")
    assert (tmp_path / "good" / f"{os.getpid()}.sock").exists()
    close(place)


def test_a_path_that_is_taken_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = control_socket.listen(str(tmp_path / "sock"))
    assert control_socket.listen(str(tmp_path / "sock")) is None
    assert "no control socket" in caplog.text
    close(first)
    (tmp_path / "sock").write_text("dear diary")
    assert control_socket.listen(str(tmp_path / "sock")) is None
    assert (tmp_path / "sock").read_text() == "dear diary"


def test_only_what_nobody_listens_on_is_swept(here: Path) -> None:
    here.mkdir(mode=0o700)
    alive = here / "999999999.sock"  # no process here has that id, but one elsewhere may
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as dead:
        listening.bind(str(alive))
        listening.listen()
        dead.bind(str(here / "999999998.sock"))
        dead.listen()
        dead.close()
        (here / "notes.sock").write_text("")
        close(control_socket.listen("auto"))
    assert sorted(path.name for path in here.iterdir()) == ["999999999.sock", "notes.sock"]


def test_what_a_killed_server_left_is_removed_by_the_next(site: Site) -> None:
    server = site.serve(clean=False)
    left = site.socket(server)
    server.signal(signal.SIGKILL)
    server.wait()
    assert left.exists()
    assert site.command("status", str(server.pid)).returncode == 1
    after = site.serve()
    assert not left.exists()
    after.signal(signal.SIGTERM)
    after.wait()
    assert list(left.parent.iterdir()) == []


def test_a_path_of_ones_own_is_taken_again_after_a_kill(site: Site) -> None:
    path = site.directory / "sock"
    server = site.serve("--control", str(path), clean=False)
    server.signal(signal.SIGKILL)
    server.wait()
    assert path.exists()
    again = site.serve(env={"PYFORK_CONTROL": str(path)})
    done = site.command("status", str(path))
    assert f"pid {again.pid}" in done.stdout
    again.signal(signal.SIGTERM)
    assert again.wait() == 0
    assert not path.exists()


@pytest.mark.parametrize("own", [False, True], ids=["auto", "path"])
def test_a_socket_that_was_removed_is_made_again(site: Site, own: bool) -> None:
    """Those who are connected stay connected; and its directory is made again too."""
    path = site.directory / "sock"
    server = site.serve(*(["--control", str(path)] if own else []))
    path = path if own else site.socket(server)
    wire = ControlWire(path)
    for _ in range(2):
        if own:
            path.unlink()
        else:
            shutil.rmtree(path.parent)
        server.until(lambda: path.exists() and not unix.is_stale(str(path)), "a socket again")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        again = ControlWire(path)
        assert again.ask("status")["ok"]
        again.close()
    assert wire.ask("status")["ok"]
    wire.close()
    server.wait_log("was removed: it is made again", count=2)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not path.exists()


def test_another_servers_socket_is_left_where_it_is(site: Site) -> None:
    path = site.directory / "sock"
    server = site.serve("--control", str(path))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert path.exists()


def test_off_serves_without(site: Site) -> None:
    server = site.serve("--control", "off")
    assert not (site.runtime / "pyfork").exists()
    assert server.get("/").body == b"one"


def test_without_any_directory_there_is_none_and_only_debug_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A container whose system is read-only; /proc is that everywhere."""
    monkeypatch.setattr(control_socket, "runtime_directories", lambda: ["/proc/none", "/proc"])
    with caplog.at_level("DEBUG", "pyfork.error"):
        assert control_socket.listen("auto") is None
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    mine = f"/var/tmp/pyfork-{os.getuid()}"
    assert runtime_directories() == ["/run/user/7/pyfork", "/run/pyfork", mine]
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert runtime_directories() == ["/run/pyfork", mine]
