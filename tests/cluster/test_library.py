"""pyfork.cluster in programs that fork their own workers."""

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.harness.ports import free_port
from tests.harness.script import Script, ask
from tests.harness.server import ROOT, environment

EXAMPLE = ROOT / "examples/cluster/cluster.py"
PATIENCE = 30.0  # seconds
ENVIRON = environment() | {"PYTHONUNBUFFERED": "1"}


def run(directory: Path, program: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A program, to its end."""
    script = directory / "program.py"
    script.write_text("from pyfork import cluster\n" + textwrap.dedent(program))
    command = [sys.executable, *options, str(script)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=ENVIRON, check=False
    )


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def example() -> Iterator[tuple[psutil.Popen, int]]:
    port = free_port()
    program = psutil.Popen(
        [sys.executable, str(EXAMPLE), f"127.0.0.1:{port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRON,
    )
    try:
        yield program, port
    finally:
        everybody = [program, *program.children()] if program.is_running() else []
        for each in everybody:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        print(program.communicate()[0])


def test_the_example_forks_three_and_replaces_one_that_is_killed(
    example: tuple[psutil.Popen, int],
) -> None:
    program, port = example
    for _ in range(3):
        assert re.fullmatch(rf"worker \d \(\d+\) listens on 127.0.0.1:{port}\n", said(program))
    workers = {child.pid for child in program.children()}
    assert {ask(port) for _ in range(6)} == workers
    victim = ask(port)
    os.kill(victim, signal.SIGKILL)
    assert "has ended: SIGKILL" in said(program)
    assert "listens on" in said(program)
    now = {child.pid for child in program.children()}
    assert len(now) == 3
    assert victim not in now
    assert {ask(port) for _ in range(6)} == now
    program.terminate()
    psutil.wait_procs([psutil.Process(pid) for pid in now if psutil.pid_exists(pid)], PATIENCE)
    assert not any(psutil.pid_exists(pid) for pid in now)


def said(program: psutil.Popen) -> str:
    """The next line that is no access log."""
    for line in program.stdout:
        if '"GET /' not in line:
            return str(line)
    raise AssertionError("it has ended")


def test_a_plain_program_waits_for_its_workers_and_hears_them(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import sys
        if cluster.is_primary:
            worker = cluster.fork(GREETING="hello")
            worker.send({"name": "you"})
            @worker.once("message")
            def answered(value):
                print(value, sorted(cluster.workers))
                worker.send("end")
            @cluster.on("exit")
            def ended(worker, status, signal):
                print(worker.id, status, signal, worker.exited_after_disconnect, cluster.workers)
            sys.exit(4)
        else:
            import os
            @cluster.worker.on("message")
            def told(value):
                if value == "end":
                    sys.exit(3)
                cluster.worker.send(os.environ["GREETING"] + " " + value["name"])
        """,
    )
    assert (done.stdout, done.stderr) == ("hello you [1]\n1 3 None False {}\n", "")
    assert done.returncode == 4


def test_an_error_of_a_handler_ends_the_program_and_its_workers(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import time
        if cluster.is_primary:
            @cluster.on("online")
            def online(worker):
                print(worker.pid)
                raise ValueError("no")
            cluster.fork()
        else:
            time.sleep(100)
        """,
    )
    assert done.returncode == 1
    assert "ValueError: no" in done.stderr
    until(lambda: not psutil.pid_exists(int(done.stdout)))


def test_workers_of_a_program_that_raises_end(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import time
        if cluster.is_primary:
            print(cluster.fork().pid, flush=True)
            raise ValueError("no")
        time.sleep(100)
        """,
    )
    assert done.returncode == 1
    until(lambda: not psutil.pid_exists(int(done.stdout)))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_events_come_in_the_loop_that_runs(loop: str, tmp_path: Path) -> None:
    pytest.importorskip(loop)
    done = run(
        tmp_path,
        """
        import asyncio, LOOP
        async def primary():
            @cluster.on("listening")
            async def listening(worker, address):
                reader, writer = await asyncio.open_connection(address.address, address.port)
                print((await reader.read()).decode())
                writer.close()
                worker.disconnect()
            cluster.on("exit", lambda worker, status, signal: print(status, signal))
            cluster.fork()
            await cluster.wait()
            print("ended")
        async def worker():
            async def serve(reader, writer):
                writer.write(f"from {cluster.worker.id}".encode())
                writer.close()
            async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
                await server.serve_forever()
        LOOP.run(primary() if cluster.is_primary else worker())
        """.replace("LOOP", loop),
        "-W",
        "error",
    )
    assert (done.stdout, done.stderr) == ("from 1\n0 None\nended\n", "")


def test_a_program_of_gevent(tmp_path: Path) -> None:
    """It has patched Python before it imports this."""
    pytest.importorskip("gevent")
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent("""
        from gevent import monkey, spawn
        monkey.patch_all()
        import socket
        from gevent.server import StreamServer
        from pyfork import cluster
        def ask(address, count):
            for _ in range(count):
                with socket.create_connection((address.address, address.port)) as client:
                    print("from", client.recv(10).decode())
            cluster.disconnect()
        def primary():
            seen = []
            for _ in range(2):
                cluster.fork()
            @cluster.on("listening")
            def listening(worker, address):
                seen.append(worker)
                if len(seen) == 2:
                    spawn(ask, address, 4)
            cluster.run()
            print("ended")
        def serve(client, address):
            client.sendall(str(cluster.worker.id).encode())
            client.close()
        primary() if cluster.is_primary else StreamServer(("127.0.0.1", 0), serve).serve_forever()
        """)
    )
    command = [sys.executable, str(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=ENVIRON, check=False
    )
    assert sorted(done.stdout.split("\n")) == ["", "ended", *2 * ["from 1"], *2 * ["from 2"]]
    assert done.stderr == ""


def test_another_script_may_be_what_is_forked(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text("import os, sys; print(sys.argv[1:], os.environ['MODE'], os.getcwd())")
    (tmp_path / "there").mkdir()
    done = run(
        tmp_path,
        f"""
        cluster.setup_primary(
            exec={str(other)!r}, args=["a"], env={{"MODE": 1}}, cwd="there", silent=True
        )
        worker = cluster.fork()
        cluster.run()
        print(worker.process.stdout.read().decode(), worker.is_dead(), worker.send(1))
        """.replace('"there"', repr(str(tmp_path / "there"))),
    )
    assert done.stdout == f"['a'] 1 {tmp_path}/there\n True False\n"
    assert done.stderr == ""


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        def attempt(what, *args):
            try:
                what(*args)
            except (RuntimeError, ValueError, TypeError) as error:
                print(type(error).__name__, error)
        if cluster.is_primary:
            attempt(cluster.on, "exits", print)
            cluster.schedule = "fair"
            attempt(cluster.fork)
            cluster.schedule = cluster.NONE
            attempt(cluster.fork().send, object())
        else:
            attempt(cluster.fork)
        """,
    )
    assert done.stdout == (
        "ValueError there is no event 'exits', only setup, fork, online, listening, "
        "message, disconnect, "
        "exit\n"
        "ValueError cluster.schedule is 'fair': use ROUND_ROBIN, NONE or LEAST\n"
        "TypeError Object of type object is not JSON serializable\n"
        "RuntimeError this process is a worker, which has none of its own: cluster.worker\n"
    )


def test_a_script_of_pyfork_run_is_a_worker(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(
        textwrap.dedent("""
        import http.server, os
        from pyfork import cluster
        me = cluster.worker
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = f"{cluster.is_primary} {me.id} {me.send('x')} {os.getpid()}".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["AT"])), Handler)
        me.send("ready")
        server.serve_forever()
        """)
    )
    port = free_port()
    options = ["--env", f"AT={port}", "--ready-on", "message"]
    with Script(str(script), workers=1, options=options, directory=tmp_path) as running:
        assert ask(port) in running.pids()
        assert running.get("/").body.startswith(b"False 0 False")


def test_a_worker_whose_primary_is_killed_answers_and_gives_the_port_up(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent("""
        import socket
        from pyfork import cluster
        if cluster.is_primary:
            worker = cluster.fork()
            @cluster.on("listening")
            def listening(worker, address):
                print(address.port, worker.pid)
        else:
            with socket.create_server(("127.0.0.1", 0)) as server:
                while True:
                    client, _ = server.accept()
                    with client:
                        client.sendall(client.recv(10))
        """)
    )
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRON) as program:
        assert program.stdout
        port, worker = map(int, program.stdout.readline().split())
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            until(lambda: has(worker, client))  # what is in the primary's hand ends with it
            program.kill()
            program.wait()
            until(lambda: refused(port))
            client.sendall(b"late")
            assert client.recv(10) == b"late"
        until(lambda: not psutil.pid_exists(worker))


def has(pid: int, client: socket.socket) -> bool:
    """Whether this process has accepted the connection."""
    found = psutil.Process(pid).net_connections("tcp")
    return client.getsockname() in [tuple(each.raddr) for each in found]


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False
