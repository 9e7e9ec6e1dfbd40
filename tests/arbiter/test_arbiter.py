"""The whole arbiter: real processes, real signals. Its log is what the tests read."""

import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.arbiter.conftest import Start
from tests.arbiter.fake_worker_server import FakeWorkerServer
from tests.harness.ports import free_port

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


# From start to stop.


def test_start_and_graceful_stop(start: Start, tmp_path: Path) -> None:
    pidfile, path = tmp_path / "pid", tmp_path / "socket"
    server = start(workers=2, bind=("127.0.0.1:0", f"unix:{path}"), pid=str(pidfile), name="shop")
    server.wait_workers(2)
    assert server.wait_for(
        r"pyfork \S+ \(pid (\d+)\) is starting serving on http://\S+, unix:/\S+ with"
    )
    assert int(pidfile.read_text()) == server.pid
    assert path.is_socket()
    assert {server.ask().pid for _ in range(50)} <= server.pids()
    port = server.port
    assert server.stop() == 0
    assert len(re.findall(r"worker [01] \(generation 1, pid \d+\) left", server.log)) == 2
    assert not pidfile.exists()
    assert not path.exists()
    assert is_free(port)


@linux
def test_process_titles(start: Start) -> None:
    server = start(workers=1, name="shop")
    server.wait_workers(1)
    (worker,) = server.pids()
    titles = [Path(f"/proc/{pid}/cmdline").read_text().strip("\0 ") for pid in (server.pid, worker)]
    assert titles == [
        "pyfork: arbiter [shop] serving",
        "pyfork: worker [shop] slot 0 gen 1 booting",
    ]


@linux
def test_a_worker_holds_nothing_that_is_the_arbiters(start: Start) -> None:
    server = start(workers=3)
    server.wait_workers(3)
    for pid in server.pids():
        links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        sockets = sum(link.startswith("socket:") for link in links)
        assert sockets == 4, "listener, channel, and both ends of the connection queue"
        assert not [link for link in links if "eventpoll" in link]


def test_one_listening_socket_is_shared_by_all(start: Start) -> None:
    server = start(workers=2)
    server.wait_workers(2)
    for pid in (server.pid, *server.pids()):
        listening = [
            each.laddr.port
            for each in psutil.Process(pid).net_connections()
            if each.status == psutil.CONN_LISTEN
        ]
        assert listening == [server.port]


@pytest.mark.parametrize("delay", [n / 100 for n in range(0, 24, 2)])
def test_a_stop_at_any_moment_of_start_up(start: Start, delay: float) -> None:
    server = start(workers=3)
    server.wait_for("the process is up")
    time.sleep(delay)
    assert server.stop() == 0


def test_int_cuts_and_a_second_int_kills(start: Start) -> None:
    server = start(workers=1, graceful_timeout=60)
    server.wait_workers(1)
    server.ask(b"deaf")
    began = time.monotonic()
    server.signal(signal.SIGINT)
    server.wait_for("SIGINT: quick stop")
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert time.monotonic() - began < 2, "it did not wait for the end of the quick stop"


def test_a_second_term_does_not_wait_for_the_grace(start: Start) -> None:
    server = start(workers=1, graceful_timeout=60)
    server.wait_workers(1)
    server.ask(b"deaf")
    server.signal(signal.SIGTERM)
    server.wait_for("SIGTERM: graceful stop")
    assert server.stop() == 0
    assert "killed by SIGKILL, by pyfork: did not drain in time" in server.log


# What can go wrong before anything is served.


@pytest.mark.parametrize("workers", [1, 4])
def test_an_application_that_does_not_load(start: Start, workers: int) -> None:
    server = start(app="fail", workers=workers)
    assert server.wait() == 3
    assert server.log.count("BOOM") == 1, "its traceback, once"
    assert "pyfork gives up: no module named shop" in server.log
    assert is_free(server.port)


def test_workers_that_all_die_at_boot(start: Start) -> None:
    server = start(app="die", workers=5)
    assert server.wait() == 3
    assert re.search(r"killed by SIGKILL( \(out of memory\?|, not by the kernel)", server.log)


def test_a_boot_that_takes_too_long(start: Start) -> None:
    server = start(app="slow", workers=2, boot_timeout=0.2)
    assert server.wait() == 3
    assert "pyfork gives up: not ready within 0.2 s" in server.log
    assert re.search(r'File ".*fake_worker.py", line \d+ in slow', server.log), "where it hangs"


def test_an_address_in_use(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        server = start(bind=(f"127.0.0.1:{holder.getsockname()[1]}",))
        assert server.wait() == 4


def test_a_pid_file_of_a_living_process(start: Start, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    pidfile.write_text(f"{os.getpid()}\n")
    server = start(pid=str(pidfile))
    assert server.wait() == 1
    assert f"process {os.getpid()} is alive" in server.log
    assert int(pidfile.read_text()) == os.getpid()


def test_a_stale_pid_file_and_one_that_was_taken_over(start: Start, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    pidfile.write_text("999999999\n")
    server = start(pid=str(pidfile))
    server.wait_workers(1)
    assert int(pidfile.read_text()) == server.pid
    pidfile.write_text("1\n")
    assert server.stop() == 0
    assert pidfile.read_text() == "1\n"


# Deaths.


def test_a_killed_worker_is_replaced(start: Start) -> None:
    server = start(workers=2)
    server.wait_workers(2)
    victim = server.ask()
    os.kill(victim.pid, signal.SIGKILL)
    server.wait_workers(3)
    assert server.wait_for(
        rf"worker {victim.slot} \(generation 1, pid {victim.pid}\) died after .* killed by SIGKILL"
        r"( \(was it out|, not by the kernel).*no request in flight"
    )
    assert len(server.pids()) == 2
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("app", "record"),
    [("leave", "exit status 7"), ("wrong", "RuntimeError: unheard of(?s:.)*exit status 1")],
)
def test_ways_to_end_that_nobody_asked_for(start: Start, app: str, record: str) -> None:
    server = start(app=app, workers=5)
    assert server.wait() == 3
    assert server.wait_for(rf"{record}")


def test_when_the_arbiter_is_killed_nothing_is_left(start: Start) -> None:
    server = start(workers=3)
    server.wait_workers(3)
    port = server.port
    server._process.kill()
    server.wait()
    server.until(lambda: not server.processes(), "no worker is left")
    assert is_free(port)


def test_a_worker_that_hangs_shows_its_stacks(start: Start) -> None:
    server = start(workers=1, timeout=0.5)
    server.wait_workers(1)
    victim = server.ask(b"hang")
    server.wait_workers(2)
    assert server.wait_for(r"hangs: gave no sign of life for 0.5 s; 1 request in flight, last GET")
    assert server.wait_for(rf"pid {victim.pid}\) died .* killed by SIGABRT, by pyfork: hangs")
    assert server.wait_for(r'(?s)File ".*fake_worker.py", line \d+ in obey')
    assert server.ask().pid != victim.pid
    assert server.stop() == 0


def test_a_worker_that_hangs_and_ignores_it_is_killed(start: Start) -> None:
    server = start(workers=1, timeout=0.5)
    server.wait_workers(1)
    victim = server.ask(b"deaf")
    assert server.wait_for(rf"pid {victim.pid}\) died .* killed by SIGKILL, by pyfork: hangs")


def test_a_worn_worker_leaves_after_its_successor_is_ready(start: Start) -> None:
    server = start(workers=1)
    server.wait_workers(1)
    worn = server.ask(b"worn")
    server.wait_for(rf"pid {worn.pid}\) left")
    log = server.log
    assert log.index("will be replaced: it has served enough") < log.rindex("is ready")
    assert log.rindex("is ready") < log.index(") left")


@linux
def test_strangers_are_reaped(start: Start) -> None:
    server = start("subreaper", workers=1, log_level="debug")
    server.wait_workers(1)
    server.ask(b"orphan")
    server.wait_for("reaped process .*, no worker: exit status 0")
    assert server.stop() == 0


# Reloads.


def test_reload(start: Start) -> None:
    server = start(workers=2)
    server.wait_workers(2)
    old = server.pids()
    server.configure(workers=3)
    server.signal(signal.SIGHUP)
    server.wait_for("reload: generation 2 serves")
    server.until(lambda: not server.pids() & old, "the old ones have left")
    assert server.ask().generation == 2
    assert len(server.pids()) == 3
    assert server.stop() == 0


def test_a_reload_that_fails_changes_nothing(start: Start) -> None:
    server = start(workers=2)
    server.wait_workers(2)
    old = server.pids()
    port = free_port()
    server.configure(app="fail", bind=("127.0.0.1:0", f"127.0.0.1:{port}"))
    server.signal(signal.SIGHUP)
    server.wait_for("generation 2 is abandoned, generation 1 keeps serving: no module named shop")
    server.wait_for("BOOM")
    server.until(lambda: server.pids() == old, "the failed one is gone")
    assert {server.ask().generation for _ in range(10)} == {1}
    assert is_free(port)
    server.configure(app="serving")
    server.signal(signal.SIGHUP)
    server.wait_for("reload: generation 3 serves")
    assert server.log.count("BOOM") == 1
    assert server.ask(port=port).generation == 3


def test_a_reload_with_a_bad_configuration_is_refused(start: Start) -> None:
    server = start(workers=1)
    server.wait_workers(1)
    old = server.pids()
    server.configure(bind=("127.0.0.1:0", "ftp://nowhere"))
    server.signal(signal.SIGHUP)
    server.wait_for("SIGHUP: reload refused: .*ftp://nowhere")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        ports = free_port(), holder.getsockname()[1]
        server.configure(bind=("127.0.0.1:0", *(f"127.0.0.1:{port}" for port in ports)))
        server.signal(signal.SIGHUP)
        server.wait_for("reload refused", 2)
    assert is_free(ports[0]), "it could have been had, but not with the other"
    assert server.pids() == old
    assert server.ask().generation == 1


def test_a_reload_moves_to_another_port(start: Start) -> None:
    server = start(workers=1)
    server.wait_workers(1)
    old, port = server.port, free_port()
    server.configure(bind=(f"127.0.0.1:{port}",))
    server.signal(signal.SIGHUP)
    server.wait_for(r"generation 1, pid \d+\) left")
    assert server.ask(port=port).generation == 2
    assert is_free(old), "no worker of the new generation holds it"


def test_a_reload_moves_the_log(start: Start, tmp_path: Path) -> None:
    server = start(workers=1)
    server.wait_workers(1)
    path = tmp_path / "new.log"
    server.configure(error_logfile=str(path), app="serving.told")
    server.signal(signal.SIGHUP)
    server.until(lambda: path.exists() and "left" in path.read_text(), "the reload is through")
    assert "[worker 0 gen 2] a worker speaks" in path.read_text()
    server.configure(error_logfile=str(tmp_path / "no" / "such" / "directory"))
    server.signal(signal.SIGHUP)
    server.until(lambda: "generation 3 is abandoned" in path.read_text(), "the next is not")
    assert server.ask().generation == 2


def test_a_stop_in_the_middle_of_a_slow_reload(start: Start) -> None:
    server = start(workers=2)
    server.wait_workers(2)
    server.configure(app="slow")
    server.signal(signal.SIGHUP)
    server.wait_for("reload: generation 2 boots")
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5
    assert (
        "generation 2 is abandoned, generation 1 keeps serving: the server is stopping"
        in server.log
    )


def test_reload_after_reload(start: Start) -> None:
    server = start(workers=2)
    server.wait_workers(2)
    for _ in range(10):
        server.signal(signal.SIGHUP)
        server.ask()
    server.wait_for("reload: generation")
    last = server.until(lambda: settled_generation(server), "the last reload is through")
    assert {server.ask().generation for _ in range(5)} == {last}
    assert server.stop() == 0


def settled_generation(server: FakeWorkerServer) -> int | None:
    """The newest generation, if it serves and everyone else has left."""
    newest = int(re.findall(r"reload: generation (\d+) boots", server.log)[-1])
    serves = f"reload: generation {newest} serves" in server.log
    return newest if serves and len(server.pids()) == 2 else None


# Other signals.


def test_one_more_and_one_less(start: Start) -> None:
    server = start(workers=1)
    server.wait_workers(1)
    server.signal(signal.SIGTTIN)
    server.wait_workers(2)
    assert len(server.pids()) == 2
    server.signal(signal.SIGTTOU)
    server.wait_for("SIGTTOU: scale from 2 to 1")
    server.signal(signal.SIGTTOU)
    server.wait_for("SIGTTOU: scale refused: from 1 to 1024 workers")
    server.wait_for(r"worker 1 \(generation 1, pid \d+\) left")
    assert len(server.pids()) == 1


def test_all_are_retired_until_a_reload(start: Start) -> None:
    server = start(workers=2)
    server.wait_workers(2)
    server.signal(signal.SIGWINCH)
    server.until(lambda: not server.pids(), "no worker is left")
    assert not is_free(server.port)
    server.signal(signal.SIGHUP)
    assert server.ask().generation == 2
    assert server.stop() == 0


def test_log_files_are_opened_anew(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    server = start(workers=1, error_logfile=str(path))
    server.until(lambda: path.exists() and "is ready" in path.read_text(), "the worker is ready")
    path.rename(tmp_path / "error.log.1")
    server.signal(signal.SIGUSR1)
    server.until(lambda: path.exists() and path.read_text(), "there is a new file")
    assert "SIGUSR1: log files were reopened" in path.read_text()
    assert server.stop() == 0
