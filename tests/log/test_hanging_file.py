"""Log files on a file system that hangs, as an NFS does whose server has gone away."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pyfork.log.remote import RemoteFile
from pyfork.log.sink import LIMIT, Sink
from pyfork.system.mounts import Mounts
from tests.end_to_end.serving.fuse import Hanging
from tests.log.unread import PATIENCE, Unread, full_disk, opened

# What the kernel says, with a mount that covers an earlier one, and a name with a space.
MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
40 22 0:40 / /mnt/nfs rw,relatime shared:2 master:1 - nfs4 server:/export rw
41 22 0:41 / /mnt/with\040space rw - fuse.sshfs host: rw
42 40 0:42 / /mnt/nfs/cache rw - tmpfs tmpfs rw
43 22 0:43 / /srv rw - cifs //server/share rw
44 43 254:1 / /srv rw - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("/var/log/access.log", False),
        ("/mnt/nfs/access.log", True),
        ("/mnt/nfs", True),
        ("/mnt/nfs2/access.log", False),
        ("/mnt/with space/a/b", True),
        ("/mnt/nfs/cache/log", True),  # the way there may hang
        ("/srv/log", False),
        ("/proc/self/../../mnt/nfs/log", True),
    ],
)
def test_file_systems_that_may_hang(path: str, may: bool) -> None:
    assert Mounts(MOUNTS.strip().splitlines()).may_hang(path) is may


def test_links_are_followed(tmp_path: Path) -> None:
    place = tmp_path / "far"
    (tmp_path / "absolute").symlink_to(place)
    (tmp_path / "relative").symlink_to("absolute/within")
    (tmp_path / "loop").symlink_to("loop")
    mounts = Mounts([f"40 22 0:40 / {place} rw - nfs server:/ rw"])
    assert mounts.may_hang(str(tmp_path / "absolute" / "log"))
    assert mounts.may_hang(str(tmp_path / "relative" / "log"))
    assert not mounts.may_hang(str(tmp_path / "near" / ".." / "log"))
    assert not mounts.may_hang(str(tmp_path / "loop" / "log"))


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "hanging"
    place.mkdir()
    try:
        mounted = Hanging(place)
    except OSError as error:
        pytest.skip(f"no FUSE file system can be made here: {error}")
    yield place
    mounted.close()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_server_whose_logs_hang(hanging: Path, tmp_path: Path, end: signal.Signals) -> None:
    """Whatever waits for the file, it is no process that serves."""
    logs = ("--error-logfile", str(hanging / "log"), "--access-logfile", str(hanging / "log"))
    with (
        opened(full_disk) as place,
        Unread(tmp_path, place.fd, "-w", "2", "--log-level", "debug", *logs) as server,
    ):
        before = server.serves()
        server.get("/" + "x" * 4000, count=300, status=404)
        server.signal(signal.SIGUSR1)
        server.signal(signal.SIGHUP)
        server.until(lambda: not server.get() & before, "the new generation serves")
        server.get("/boom", count=20, status=500)
        server.signal(end)
        assert server.wait() == (0 if end == signal.SIGTERM else -signal.SIGKILL)
        server.until(lambda: not server.processes(), "all have left")


def far_sink(path: Path, monkeypatch: pytest.MonkeyPatch) -> Sink:
    """A sink for ``path``, as if that were on another machine."""
    monkeypatch.setattr(Mounts, "may_hang", lambda self, path: True)
    sink = Sink(str(path), stream=2)
    sink.wait_until_open(PATIENCE)
    return sink


def writer_of(path: Path) -> psutil.Process:
    """The process that writes ``path``."""
    for child in psutil.Process().children():
        with suppress(psutil.ZombieProcess):
            if str(path) in child.cmdline():
                return child
    raise AssertionError(f"no process writes {path}")


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_lines_arrive_in_order_also_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process is what a write that hangs looks like from outside."""
    path = tmp_path / "log"
    sink = far_sink(path, monkeypatch)
    writer = writer_of(path)
    sink.write("first")
    until(lambda: lines_of(path) == ["first"])
    writer.suspend()
    began = time.monotonic()
    count = 3 * LIMIT // 100
    for number in range(count):
        sink.write(f"{number:099}")
    assert time.monotonic() - began < 5  # it waits 50 ms, and the rest is this machine's
    assert 0 < sink.lost < count
    writer.resume()
    until(lambda: sink.flush() or not sink.is_waiting)  # type: ignore[func-returns-value]
    sink.write("last")
    sink.close()
    until(lambda: lines_of(path)[-1:] == ["last"])
    kept = lines_of(path)[1:-1]
    assert kept == [f"{number:099}" for number in range(count)][: len(kept)]
    assert len(kept) == count - sink.lost


def test_rotated_and_removed_files_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    sink = far_sink(path, monkeypatch)
    for number in range(3):
        sink.write(f"line {number}")
        until(lambda: lines_of(path) == [f"line {number}"])  # noqa: B023
        path.rename(tmp_path / f"log.{number}")
        sink.reopen()
    sink.close()
    assert lines_of(tmp_path / "log.1") == ["line 1"]


def test_writer_that_dies_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that come meanwhile wait."""
    monkeypatch.setattr("pyfork.log.remote._AGAIN", 0.0)
    path = tmp_path / "log"
    sink = far_sink(path, monkeypatch)
    writer = writer_of(path)
    writer.kill()
    until(lambda: writer.status() == psutil.STATUS_ZOMBIE)
    sink.write("meanwhile")
    sink.tend()
    until(lambda: lines_of(path) == ["meanwhile"])
    sink.close()
    with suppress(ChildProcessError):
        os.waitpid(writer.pid, 0)


def test_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        far_sink(tmp_path / "missing" / "log", monkeypatch)


def test_file_comes_later_and_losses_are_told(tmp_path: Path) -> None:
    """A directory that is missing for a while, as an export that is not mounted yet."""
    path = tmp_path / "later" / "log"
    remote = RemoteFile(str(path), (-1, -1))
    with pytest.raises(FileNotFoundError):
        remote.wait(PATIENCE)
    os.write(remote.fd, b"lost\nlost too\n")
    time.sleep(0.1)
    path.parent.mkdir()
    os.write(remote.fd, b"kept\n")
    remote.close()
    until(lambda: lines_of(path)[-1:] == ["kept"])
