"""Listeners on real sockets, and refusals with a real other process in the way."""

import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from pyfork.address import Inet, InheritedFd, Unix, parse
from pyfork.errors import BindError
from pyfork.net import unix
from pyfork.net.bind import Listener, bind
from pyfork.system import port_owner
from tests.harness.planted_files import directory, fifo, file, hard_link, link, needs_root, shared

__all__ = ["shared"]

LISTEN = """
import os, socket, sys
family, where, fork = sys.argv[1], sys.argv[2], len(sys.argv) > 3
held = socket.socket(getattr(socket, family))
if family == "AF_UNIX":
    held.bind(where.replace("@", "\\0", 1))
else:
    host, port = where.rsplit(":", 1)
    held.bind((host, int(port)))
held.listen()
if fork and os.fork() == 0:
    os.read(0, 1)
    os._exit(0)
print(held.getsockname()[1] if family != "AF_UNIX" else 0, flush=True)
os.read(0, 1)
"""

Occupy = Callable[..., tuple[int, int]]
Listen = Callable[..., Listener]


@pytest.fixture
def occupy() -> Iterator[Occupy]:
    """Starts a process that listens; gives its pid and port."""
    with ExitStack() as stack:

        def start(family: str, where: str, *more: str) -> tuple[int, int]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", LISTEN, family, where, *more],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            assert process.stdout is not None
            return process.pid, int(process.stdout.readline())

        yield start


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Binds the text of an address; closes at the end."""
    with ExitStack() as stack:

        def start(text: str, **options: object) -> Listener:
            listener = bind(parse(text), backlog=8, **options)  # type: ignore[arg-type]
            stack.callback(listener.close)
            return listener

        yield start


def refusal(listen: Listen, text: str, **options: object) -> str:
    with pytest.raises(BindError) as refused:
        listen(text, **options)
    return str(refused.value)


def reach(listener: Listener) -> None:
    """A client connects, and the listener can accept it."""
    listener.socket.settimeout(5)
    with socket.socket(listener.socket.family) as client:
        client.connect(listener.socket.getsockname())
        listener.socket.accept()[0].close()


def test_port_zero_gives_the_real_port(listen: Listen) -> None:
    listener = listen("127.0.0.1:0")
    assert isinstance(listener.address, Inet)
    assert listener.address.port == listener.socket.getsockname()[1] > 0
    reach(listener)


def test_socket_is_non_blocking_and_closed_on_exec(listen: Listen, tmp_path: Path) -> None:
    for text in ("127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/a.sock", "unix:@pyfork-test-flags"):
        made = listen(text).socket
        assert made.getblocking() is False
        assert made.get_inheritable() is False


def test_a_name_means_ipv4(listen: Listen) -> None:
    address = listen("localhost:0").address
    assert isinstance(address, Inet)
    assert address.host == "127.0.0.1"


def test_unknown_host(listen: Listen) -> None:
    assert "host 'nowhere.invalid'" in refusal(listen, "nowhere.invalid:0")


@pytest.mark.parametrize(
    ("first", "second"),
    [("0.0.0.0", "[::]"), ("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "[::1]"), ("[::]", "0.0.0.0")],
)
def test_one_port_on_two_addresses(listen: Listen, first: str, second: str) -> None:
    one = listen(f"{first}:0")
    two = listen(f"{second}:{one.socket.getsockname()[1]}")
    reach(one)
    reach(two)


def test_the_port_is_free_at_once_after_a_connection_was_closed_here(listen: Listen) -> None:
    first = listen("127.0.0.1:0")
    reach(first)  # the accepting side closes first or not at all: TIME_WAIT stays on the port
    text = str(first.address)
    first.close()
    reach(listen(text))


def test_taken_port_names_its_holder(listen: Listen, occupy: Occupy) -> None:
    pid, port = occupy("AF_INET", "127.0.0.1:0")
    message = refusal(listen, f"127.0.0.1:{port}")
    assert f"pid {pid} ({sys.executable} -c" in message
    assert "every interface" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("family", "held", "asked"),
    [
        ("AF_INET", "0.0.0.0", "127.0.0.1"),
        ("AF_INET", "127.0.0.1", "0.0.0.0"),
        ("AF_INET6", "::", "[::1]"),
        ("AF_INET6", "::1", "[::]"),
    ],
)
def test_wildcard_is_explained(
    listen: Listen, occupy: Occupy, family: str, held: str, asked: str
) -> None:
    pid, port = occupy(family, f"{held}:0")
    message = refusal(listen, f"{asked}:{port}")
    assert f"pid {pid} " in message
    assert "every interface" in message
    assert str(Inet(held, port)) in message


def test_ipv6_wildcard_that_takes_ipv4_too_is_found(listen: Listen, occupy: Occupy) -> None:
    pid, port = occupy("AF_INET6", ":::0")
    message = refusal(listen, f"0.0.0.0:{port}")
    assert f"pid {pid} " in message
    assert f"[::]:{port}" in message


def test_forked_workers_are_not_listed_beside_their_parent(listen: Listen, occupy: Occupy) -> None:
    pid, port = occupy("AF_INET", "127.0.0.1:0", "fork")
    children = [child.pid for child in psutil.Process(pid).children()]
    assert len(children) == 1
    found = port_owner.holders(Inet("127.0.0.1", port))
    assert [holder.pid for holder in found] == [pid]


def test_psutil_finds_the_same_holder(occupy: Occupy) -> None:
    for where in ("127.0.0.1:0", "0.0.0.0:0"):
        _, port = occupy("AF_INET", where, "fork")
        address = Inet("127.0.0.1", port)
        assert port_owner._from_psutil(address) == port_owner._from_proc(address) != []


def test_own_listener_in_the_way(listen: Listen) -> None:
    port = listen("0.0.0.0:0").socket.getsockname()[1]
    message = refusal(listen, f"127.0.0.1:{port}")
    assert "this command itself" in message
    assert "remove one of the two" in message


def test_free_port_has_no_holder(listen: Listen) -> None:
    listener = listen("127.0.0.1:0")
    assert isinstance(listener.address, Inet)
    listener.close()
    assert port_owner.holders(listener.address) == []


def test_address_of_another_machine(listen: Listen) -> None:
    assert "0.0.0.0 or [::]" in refusal(listen, "192.0.2.1:0")


def test_unix_mode_and_owner(listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    listener = listen(f"unix:{path}", unix_mode=0o640, unix_owner=f"{os.getuid()}:{os.getgid()}")
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())
    reach(listener)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")
def test_unix_owner_of_another_user(listen: Listen, tmp_path: Path) -> None:
    listen(f"unix:{tmp_path}/a.sock", unix_owner="12345:54321")
    found = (tmp_path / "a.sock").stat()
    assert (found.st_uid, found.st_gid) == (12345, 54321)
    listen(f"unix:{tmp_path}/b.sock", unix_owner=":54321")
    found = (tmp_path / "b.sock").stat()
    assert (found.st_uid, found.st_gid) == (0, 54321)


def test_unix_owner_unknown(listen: Listen, tmp_path: Path) -> None:
    assert "'nobody-such'" in refusal(listen, f"unix:{tmp_path}/a", unix_owner="nobody-such")
    assert "'group-such'" in refusal(listen, f"unix:{tmp_path}/a", unix_owner="0:group-such")
    assert list(tmp_path.iterdir()) == []


def test_close_removes_the_socket_file(listen: Listen, tmp_path: Path) -> None:
    listener = listen(f"unix:{tmp_path}/a.sock")
    listener.close()
    assert list(tmp_path.iterdir()) == []
    listener.close()


def test_close_leaves_the_file_of_a_successor(
    listen: Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = listen("unix:a.sock")
    os.rename("a.sock", "old.sock")
    second = listen("unix:a.sock")
    monkeypatch.chdir("/")
    first.close()
    reach_path = tmp_path / "a.sock"
    assert reach_path.exists()
    second.close()
    assert not reach_path.exists()


def test_stale_socket_file_is_replaced(listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    reach(listen(f"unix:{path}"))


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_live_unix_socket_names_its_holder(
    listen: Listen, occupy: Occupy, tmp_path: Path, kind: str
) -> None:
    where = f"{tmp_path}/a.sock" if kind == "file" else f"@pyfork-test-{os.getpid()}"
    pid, _ = occupy("AF_UNIX", where)
    assert f"pid {pid} (" in refusal(listen, f"unix:{where}")
    assert kind == "abstract" or Path(where).exists()


def test_live_unix_socket_with_a_full_queue_is_not_taken_for_stale(
    listen: Listen, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as busy, ExitStack() as clients:
        busy.bind(path)
        busy.listen(0)
        answer = 0
        while answer == 0:
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            answer = client.connect_ex(path)
        assert answer == errno.EAGAIN
        assert "in use" in refusal(listen, f"unix:{path}")


def test_file_in_the_way_is_kept(listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert "not a socket" in refusal(listen, f"unix:{path}")
    assert path.read_text() == "mine"


@needs_root
@pytest.mark.parametrize("plant", [link, hard_link, fifo, directory, file])
def test_planted_at_the_sockets_name(plant, listen: Listen, shared: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """It is kept, and so is what a link leads to."""
    path, victim = shared / "a.sock", tmp_path / "victim"
    victim.touch(0o600)
    plant(path, victim)
    assert "not a socket" in refusal(listen, f"unix:{path}", unix_owner="12345:54321")
    assert (victim.stat().st_uid, stat.S_IMODE(victim.stat().st_mode)) == (0, 0o600)
    assert [*shared.iterdir()] == [path]


@needs_root
@pytest.mark.parametrize("plant", [link, hard_link, fifo, directory, file])
def test_planted_between_bind_and_chown(plant, shared: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The owner of the directory may exchange what is in it at any time."""
    path, victim = shared / "a.sock", tmp_path / "victim"
    with socket.socket(socket.AF_UNIX) as other:  # a socket of root's, which a link leads to
        other.bind(str(victim))
    plant(path, victim)
    with pytest.raises((BindError, OSError)):
        unix._change_owner(unix.SocketFile(str(path), 0, 0), 12345, 54321)
    assert victim.stat().st_uid == path.lstat().st_uid == 0


def test_mode_is_exact_whatever_the_umask(listen: Listen, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        for mode in (0o777, 0o666, 0o600, 0o000):
            path = tmp_path / f"{mode:o}"
            listen(f"unix:{path}", unix_mode=mode)
            assert stat.S_IMODE(path.stat().st_mode) == mode
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)


def test_unix_paths_that_cannot_be(listen: Listen, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "create it first" in refusal(listen, f"unix:{tmp_path}/missing/a.sock")
    assert "not a directory" in refusal(listen, f"unix:{tmp_path}/file/a.sock")
    assert "shorter" in refusal(listen, f"unix:{tmp_path}/{'x' * 120}.sock")


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:0", "unix"])
def test_inherited_listener_is_adopted(listen: Listen, tmp_path: Path, text: str) -> None:
    given = listen(f"unix:{tmp_path}/a.sock" if text == "unix" else text)
    fd = os.dup(given.socket.fileno())
    os.set_inheritable(fd, True)
    os.set_blocking(fd, True)
    adopted = listen(f"fd://{fd}")
    assert adopted.socket.fileno() == fd
    assert adopted.address == given.address
    assert adopted.socket.getblocking() is False
    assert adopted.socket.get_inheritable() is False
    reach(adopted)
    adopted.close()
    assert text != "unix" or (tmp_path / "a.sock").exists()  # it is for its maker to remove


def test_descriptors_that_are_no_listener_are_left_alone(tmp_path: Path) -> None:
    with (
        socket.socket() as idle,
        socket.socket(type=socket.SOCK_DGRAM) as datagram,
        open(tmp_path / "f", "w") as file,
    ):
        for fd, why in (
            (idle.fileno(), "does not listen"),
            (datagram.fileno(), "not a stream"),
            (file.fileno(), "not a socket"),
        ):
            with pytest.raises(BindError, match=why):
                bind(InheritedFd(fd), backlog=8)
            os.fstat(fd)
    with pytest.raises(BindError, match="not open"):
        bind(InheritedFd(999), backlog=8)


def test_refused_bind_leaves_no_descriptor(listen: Listen, occupy: Occupy, tmp_path: Path) -> None:
    _, port = occupy("AF_INET", "127.0.0.1:0")
    before = psutil.Process().num_fds()
    refusal(listen, f"127.0.0.1:{port}")
    refusal(listen, f"unix:{tmp_path}/missing/a.sock")
    assert psutil.Process().num_fds() == before


def test_unix_listener_knows_its_address(listen: Listen, tmp_path: Path) -> None:
    assert listen(f"unix:{tmp_path}/a.sock").address == Unix(f"{tmp_path}/a.sock")


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user to be refused as")
def test_privileged_port_as_another_user() -> None:
    script = (
        "import os; from pyfork.net.bind import bind; from pyfork.address import Inet\n"
        "from pyfork.errors import BindError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: bind(Inet('127.0.0.1', 80), backlog=8)\n"
        "except BindError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > 80:
        assert "choose a port such as 8080" in done.stdout, done.stderr
