"""The life of a script: ready, replaced, reloaded, told to leave."""

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.cluster.test_bind import SERVE, write
from tests.harness.ports import free_port
from tests.harness.script import Script, ask, converse

WAIT = "threading.Event().wait()"


def test_it_is_main_with_its_own_arguments(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("")
    text = """
import sys, beside
print(__name__, __file__, sys.argv, sys.path[0], os.environ["PYFORK_WORKER"], flush=True)
print(sys.modules["__main__"].TEXT == TEXT, threading.active_count(), flush=True)
start(socket.create_server(("127.0.0.1", 0)))
"""
    script = write(tmp_path, text)
    with Script(script, "-w", "9", "x y", workers=1, directory=tmp_path) as running:
        said = running.out.splitlines()
        assert said[0] == (
            f"__main__ {tmp_path}/server.py ['server.py', '-w', '9', 'x y'] {tmp_path} 0"
        )
        assert said[1] == "True 1"


def test_a_module_runs_as_with_python_m(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__main__.py").write_text(
        f"import sys\n{SERVE}\nprint(__name__, __package__, sys.argv[1:], flush=True)\n"
        'start(socket.create_server(("127.0.0.1", 0)))\n'
    )
    with Script("-m shop", "a", workers=1, directory=tmp_path) as running:
        assert running.out == "__main__ shop ['a']\n"
        assert ask(running.port) in running.pids()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "server.py ended before it listened"),
        ("raise SystemExit(7)", "server.py ended with status 7 before it listened"),
        ("1 / 0", "server.py:13: ZeroDivisionError: division by zero"),
        ("1 +", "server.py:13: SyntaxError"),
    ],
)
def test_a_script_that_does_not_serve(text: str, said: str, tmp_path: Path) -> None:
    with Script(write(tmp_path, text), directory=tmp_path, ready=False) as running:
        assert running.wait() == 3
        assert said in running.log
        assert "pyfork/cluster" not in running.log


def test_there_is_no_such_script(tmp_path: Path) -> None:
    with Script("none.py", directory=tmp_path, ready=False) as running:
        assert running.wait() == 3
        assert "there is no script none.py" in running.log


def test_a_reload_that_fails_changes_nothing(tmp_path: Path) -> None:
    port = free_port()
    listen = f'start(socket.create_server(("127.0.0.1", {port})))'
    script = write(tmp_path, listen)
    with Script(script, directory=tmp_path) as running:
        pids = running.pids()
        # The first two of the new generation come as far as listen(), and must not serve.
        write(tmp_path, f"if os.environ['PYFORK_WORKER'] == '2': 1 / 0\n{listen}")
        running.signal(signal.SIGHUP)
        running.wait_log("reload failed")
        assert "ZeroDivisionError" in running.log
        assert {ask(port) for _ in range(30)} <= pids
        running.until(lambda: running.pids() == pids, "the new ones are gone")

        write(tmp_path, listen)
        running.signal(signal.SIGHUP)
        running.wait_log("generation 3 serves")
        running.wait_left(1)
        assert ask(port) in running.pids()


def test_what_a_script_is_at_is_finished_in_a_reload(tmp_path: Path) -> None:
    port = free_port()
    script = write(tmp_path, f'serve(socket.create_server(("127.0.0.1", {port})))')
    with Script(script, workers=1, directory=tmp_path) as running:
        (old,) = running.pids()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
            running.until(lambda: _accepted(old, port), "it is accepted")
            running.signal(signal.SIGHUP)
            running.wait_log("generation 2 serves")
            assert ask(port) in running.pids() - {old}
            assert converse(slow) == old
        running.wait_left(1)


def _accepted(pid: int, port: int) -> bool:
    import psutil

    return any(
        each.raddr for each in psutil.Process(pid).net_connections() if each.laddr[1] == port
    )


def test_its_own_handler_of_term_is_called(tmp_path: Path) -> None:
    text = """
import signal, sys
done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
while not done.wait(1):
    pass
print("bye", flush=True)
"""
    with Script(write(tmp_path, text), directory=tmp_path) as running:
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert running.out == "bye\n" * 3


def test_one_that_does_not_handle_term_unwinds(tmp_path: Path) -> None:
    """Its questions to the arbiter are answered yet."""
    text = """
listener = socket.socket(socket.AF_UNIX)
listener.bind("here")
try:
    start(listener)
    threading.Event().wait()
finally:
    os.unlink("here")
    print("bye", flush=True)
    os._exit(0)  # not the thread that accepts
"""
    with Script(write(tmp_path, text), directory=tmp_path) as running:
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert running.out == "bye\n" * 3
    assert not (tmp_path / "here").exists()


def test_one_that_does_not_hear_is_killed(tmp_path: Path) -> None:
    text = """
import signal
signal.signal(signal.SIGTERM, lambda *_: None)
start(socket.create_server(("127.0.0.1", 0)))
"""
    options = ["--graceful-timeout", "0.2"]
    with Script(write(tmp_path, text), workers=1, options=options, directory=tmp_path) as running:
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert "did not drain in time" in running.log


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["--ready-on", "message"],
            "import pyfork.cluster as c\nc.ready()\nthreading.Event().wait()",
        ),
        (["--ready-on", "delay", "--ready-delay", "0.1"], WAIT),
    ],
)
def test_ready_without_a_port(options: list[str], text: str, tmp_path: Path) -> None:
    with Script(write(tmp_path, text), options=options, directory=tmp_path) as running:
        assert len(running.pids()) == 3


def test_a_server_that_binds_in_c_is_told_of(tmp_path: Path) -> None:
    text = """
import _socket
hidden = _socket.socket()  # as a library in C does, past Python's own class
hidden.bind(("127.0.0.1", 0))
hidden.listen()
threading.Event().wait()
"""
    with Script(write(tmp_path, text), workers=2, directory=tmp_path) as running:
        assert (
            running.log.count("by a socket that was not made in Python: it cannot be shared") == 2
        )


def test_children_of_a_script_are_their_own(tmp_path: Path) -> None:
    text = """
import sys
listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    socket.create_server(("127.0.0.1", 0)).close()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
start(listener)
"""
    with Script(write(tmp_path, text), workers=2, directory=tmp_path) as running:
        running.until(lambda: running.out == "0\n0\n", "both children have bound")


def test_more_and_fewer(tmp_path: Path) -> None:
    script = write(tmp_path, 'start(socket.create_server(("127.0.0.1", 0)))')
    with Script(script, workers=1, directory=tmp_path) as running:
        running.signal(signal.SIGTTIN)
        running.until(lambda: len(running.pids()) == 2, "there are two")
        running.wait_log("is ready", 2)
        running.signal(signal.SIGTTOU)
        running.until(lambda: len(running.pids()) == 1, "there is one")


def test_an_arbiter_that_is_killed_leaves_nobody_behind(tmp_path: Path) -> None:
    port = free_port()
    script = write(tmp_path, f'start(socket.create_server(("127.0.0.1", {port})))')
    with Script(script, directory=tmp_path, clean=False) as running:
        os.kill(running.pid, signal.SIGKILL)
        running.until(lambda: len(running.processes()) == 0, "all have left")
        with pytest.raises(ConnectionRefusedError):
            ask(port)


@pytest.mark.parametrize("mode", ["exec", "spawn"])
def test_an_upgrade_keeps_the_sockets(mode: str, tmp_path: Path) -> None:
    port = free_port()
    script = write(tmp_path, f'start(socket.create_server(("127.0.0.1", {port})))')
    options = ["--upgrade-mode", mode]
    with Script(script, "--", "-x", workers=2, options=options, directory=tmp_path) as running:
        old = running.pids()
        stop = threading.Event()
        answers, failures = set(), []

        def load() -> None:
            while not stop.wait(0.005):
                try:
                    answers.add(ask(port))
                except OSError as error:
                    failures.append(repr(error))

        thread = threading.Thread(target=load)
        thread.start()
        try:
            running.signal(signal.SIGUSR2)
            running.until(lambda: answers - old, "a new one answers")
            if mode == "spawn":
                assert running.wait() == 0
                running.until(lambda: len(running.arbiters()) == 1, "one arbiter is left")
                running.follow(running.arbiters()[0].pid)
            running.until(lambda: not running.pids() & old, "the old ones have left")
        finally:
            stop.set()
            thread.join()
        assert not failures
        assert ask(port) in running.pids()
