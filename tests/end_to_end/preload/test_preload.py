"""--preload: one import for all workers of a generation."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.upgrade.conftest import MODES, UpgradeSite
from tests.harness.server import Server, is_fork_server

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="Linux only")

# It counts its imports, and tells its version and its process.
APP = """
import os
with open(os.environ["IMPORTS"], "a") as file:
    file.write("{version}\\n")
requests = 0

def app(environ, start_response):
    global requests
    requests += 1
    body = f"{version} {{os.getpid()}} {{os.getppid()}} {{requests}}".encode()
    start_response(os.environ.get("STATUS", "200 OK"), [("Content-Length", str(len(body)))])
    return [body]
"""


class Project:
    """A directory with an application that can be edited."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.write("1")

    def write(self, version: str) -> None:
        (self.directory / "shop.py").write_text(APP.format(version=version))

    def spoil(self) -> None:
        (self.directory / "shop.py").write_text("import no.such.module\n")

    @property
    def imports(self) -> list[str]:
        file = self.directory / "imports"
        return file.read_text().split() if file.exists() else []

    def serve(self, *options: str, env: dict[str, str] | None = None, **more: Any) -> Server:
        return Server(
            "shop:app",
            *("--preload", "--chdir", str(self.directory)),
            *options,
            directory=self.directory,
            env={"IMPORTS": str(self.directory / "imports")} | (env or {}),
            **more,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def workers(server: Server) -> list[psutil.Process]:
    """The processes that serve, by slot."""
    return sorted(server.workers(), key=lambda each: each.cmdline()[:1])


def fork_server(server: Server) -> psutil.Process:
    """The only one; one that ends may still be there for a moment."""

    def found() -> list[psutil.Process]:
        servers = [*filter(is_fork_server, psutil.Process(server.pid).children())]
        return servers if len(servers) == 1 else []

    (one,) = server.until(found, "there is one fork server")
    return one


def sockets(process: psutil.Process) -> set[str]:
    """The sockets that a process has open, by inode."""
    links = []
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(os.readlink(link))
    return {each for each in links if each.startswith("socket:")}


def versions(server: Server) -> set[str]:
    return {server.get("/").body.decode().split()[0] for _ in range(4)}


@pytest.mark.parametrize("dispatch", ["least", "round-robin", "reuseport"])
def test_all_workers_share_one_import(project: Project, dispatch: str) -> None:
    with project.serve("-w", "3", "--dispatch", dispatch) as server:
        assert project.imports == ["1"]
        assert len(workers(server)) == 3
        for _ in range(6):
            version, pid, parent, _ = server.get("/").body.decode().split()
            assert version == "1"
            assert int(pid) in {each.pid for each in workers(server)}
            assert int(parent) == server.pid
        signal_each = [each.pid for each in workers(server)]
        server.signal(signal.SIGTTIN)
        server.until(lambda: len(workers(server)) == 4, "there is a fourth worker")
        assert set(signal_each) < {each.pid for each in workers(server)}
        assert project.imports == ["1"]


@pytest.mark.parametrize("dispatch", ["least", "round-robin"])
def test_no_worker_has_the_channel_of_another(project: Project, dispatch: str) -> None:
    """The requests for all workers arrive at once, when the application is imported."""
    options = ("-w", "4", "--boot-parallel", "4", "--dispatch", dispatch)
    with project.serve(*options) as server:
        server.until(lambda: len(workers(server)) == 4, "there are four workers")
        shared = sockets(fork_server(server))
        own = [sockets(worker) - shared for worker in workers(server)]
        assert all(own)
        assert sum(map(len, own)) == len(set().union(*own))


def test_a_replacement_is_of_the_same_release(project: Project) -> None:
    """A worker that dies after a deploy, even a broken one, comes back with the code of its
    generation."""
    with project.serve("-w", "2") as server:
        for edit in (lambda: project.write("2"), project.spoil):
            edit()
            victim = workers(server)[0]
            ready = server.log.count(" is ready")
            victim.kill()
            server.wait_log(" is ready", ready + 1)
            assert victim not in workers(server)
            assert versions(server) == {"1"}
        assert project.imports == ["1"]


def test_a_reload_brings_new_code_or_changes_nothing(project: Project) -> None:
    with project.serve("-w", "2") as server:
        first = fork_server(server)
        project.write("2")
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        server.until(lambda: not first.is_running(), "the first fork server has ended")
        server.wait_log("(generation 1, pid", 4)  # both were ready, and have left
        assert versions(server) == {"2"}
        second = fork_server(server)
        project.spoil()
        server.signal(signal.SIGHUP)
        server.wait_log("generation 3 is abandoned")
        assert "No module named 'no'" in server.log
        assert versions(server) == {"2"}
        server.until(lambda: fork_server(server) == second, "there is one fork server")
        assert project.imports == ["1", "2"]


def test_workers_serve_on_when_their_fork_server_dies(project: Project) -> None:
    with project.serve("-w", "2") as server:
        before = workers(server)
        fork_server(server).kill()
        server.wait_log("is loaded after", 2)
        assert workers(server) == before
        victim = workers(server)[1]
        victim.kill()
        server.until(
            lambda: len(workers(server)) == 2 and victim not in workers(server),
            "the worker is replaced",
        )
        assert project.imports == ["1", "1"]


def test_a_broken_release_keeps_the_fork_server_from_its_return(project: Project) -> None:
    """Workers serve on, and a worker that dies waits until the release can be imported."""
    with project.serve("-w", "2") as server:
        project.spoil()
        fork_server(server).kill()
        server.wait_log("died (killed by SIGKILL)")
        workers(server)[1].kill()
        server.wait_log("could not boot: ")
        assert versions(server) == {"1"}
        project.write("1")
        server.until(lambda: len(workers(server)) == 2, "the worker is replaced")
        assert versions(server) == {"1"}


def test_the_first_import_fails(project: Project) -> None:
    project.spoil()
    with project.serve("-w", "2", ready=False, clean=False) as server:
        assert server.wait() == 3
        assert server.log.count("No module named 'no'") <= 2
        assert "pyfork gives up" in server.log


def test_an_import_that_ends_the_process(project: Project) -> None:
    (project.directory / "shop.py").write_text("import os\nos._exit(7)\n")
    with project.serve("-w", "2", ready=False, clean=False) as server:
        assert server.wait() == 3
        assert "its fork server ended: exit status 7" in server.log
        assert "could not fork it" not in server.log


def test_an_import_that_hangs_is_ended_with_its_stack(project: Project) -> None:
    (project.directory / "shop.py").write_text("import threading\nthreading.Event().wait()\n")
    options = ("-w", "2", "--boot-timeout", "1")
    with project.serve(*options, ready=False, clean=False) as server:
        assert server.wait() == 3
        assert "not ready within 1 s" in server.log
        assert "shop.py" in server.log


def test_a_stop_while_it_is_imported(project: Project) -> None:
    (project.directory / "shop.py").write_text(
        "import threading\nprint('imports', flush=True)\nthreading.Event().wait()\n"
    )
    with project.serve("-w", "2", ready=False) as server:
        server.until(lambda: "imports" in server.out, "it is imported")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_nothing_is_left_when_the_arbiter_is_killed(project: Project) -> None:
    with project.serve("-w", "2", clean=False) as server:
        os.kill(server.pid, signal.SIGKILL)
        server.until(lambda: not server.processes(), "all processes have ended")


@pytest.mark.parametrize("mode", MODES)
def test_upgrades(yard: UpgradeSite, mode: str) -> None:
    server = yard.begin(mode, "--preload")
    assert server.get("/").status == 200
    new = yard.upgrade(server, mode, *(["--preload"] if mode == "takeover" else []))
    assert new.get("/").status == 200
    new.until(lambda: len(workers(new)) == 2, "there are two workers")
    assert fork_server(new).is_running()


def test_a_failed_exec_leaves_the_release_that_serves(project: Project) -> None:
    """Its fork server lives through the exec: a worker that dies after it comes back as it was."""
    with project.serve("-w", "2", "--upgrade-mode", "exec") as server:
        kept = fork_server(server)
        project.write("once")
        with (project.directory / "shop.py").open("a") as file:
            file.write('assert open(os.environ["IMPORTS"]).read().count("once") == 1\n')
        server.signal(signal.SIGUSR2)  # the check imports it once, the new generation in vain
        server.wait_log("generation 2 is abandoned")
        server.until(lambda: len(workers(server)) == 2, "the old workers are left")
        assert fork_server(server) == kept
        victim = workers(server)[0]
        ready = server.log.count(" is ready")
        victim.kill()
        server.wait_log(" is ready", ready + 1)
        assert versions(server) == {"1"}
        assert project.imports == ["1", "once", "once"]
        project.write("2")
        server.signal(signal.SIGHUP)
        server.wait_log("generation 3 serves")
        server.until(lambda: not kept.is_running(), "the first fork server has ended")
        assert versions(server) == {"2"}


def test_rights_are_given_up_before_the_import(project: Project) -> None:
    if os.geteuid():
        pytest.skip("only root can become another user")
    project.directory.chmod(0o755)
    for parent in project.directory.parents[:3]:
        parent.chmod(0o755)
    (project.directory / "imports").touch(0o666)
    (project.directory / "imports").chmod(0o666)
    with project.serve("-w", "1", "--user", "nobody") as server:
        nobody = psutil.Process(workers(server)[0].pid).uids().real
        assert nobody
        assert fork_server(server).uids().real == nobody


def test_hooks(project: Project) -> None:
    """pre_fork runs in the arbiter, post_fork in the worker, which is the arbiter's child."""
    (project.directory / "pyfork_config.py").write_text(
        "import os\n"
        "def pre_fork(server, worker):\n"
        "    print('pre_fork', os.getpid(), worker.age, flush=True)\n"
        "def post_fork(server, worker):\n"
        "    print('post_fork', os.getpid(), worker.age, os.getppid(), flush=True)\n"
        "def child_exit(server, worker):\n"
        "    print('child_exit', os.getpid(), worker.pid, flush=True)\n"
    )
    config = str(project.directory / "pyfork_config.py")
    with project.serve("-w", "1", "-c", config) as server:
        (worker,) = workers(server)
    lines = server.out.splitlines()
    assert f"pre_fork {server.pid} 1" in lines
    assert f"post_fork {worker.pid} 1 {server.pid}" in lines
    assert f"child_exit {server.pid} {worker.pid}" in lines


def test_warm_up(project: Project) -> None:
    with project.serve("-w", "2", "--warmup", "/", "--warmup", "/a?b=1") as server:
        assert server.get("/").body.decode().split()[3] == "3"


@pytest.mark.parametrize(
    ("target", "env", "says"),
    [
        ("/", {"STATUS": "500 Oh"}, "--warmup /: the application answers 500 Oh"),
        ("shop:nothing", {}, "--warmup shop:nothing: "),
        ("index", {}, "it must be /path or module:function"),
    ],
)
def test_a_warm_up_that_fails(
    project: Project, target: str, env: dict[str, str], says: str
) -> None:
    options = ("--warmup", target)
    with project.serve(*options, env=env, ready=False, clean=False) as server:
        assert server.wait() == 3
        assert says in server.log


def threads(directory: Path) -> str:
    return "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"


def pool(directory: Path) -> str:
    return (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "executor = ThreadPoolExecutor(1)\nexecutor.submit(int).result()"
    )


def loop(directory: Path) -> str:
    return "import asyncio\nloop = asyncio.new_event_loop()"


def uvloop(directory: Path) -> str:
    return "import uvloop\nloop = uvloop.new_event_loop()"


def connection(directory: Path) -> str:
    return (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname())"
    )


def child(directory: Path) -> str:
    return "import subprocess\nprocess = subprocess.Popen(['cat'], stdin=subprocess.PIPE)"


UNSAFE: dict[str, tuple[Callable[[Path], str], str]] = {
    "thread": (threads, "unsafe.py:2: it starts the thread 'Thread-1"),
    "pool": (pool, "unsafe.py:3: it starts the thread 'ThreadPoolExecutor-0_0'"),
    "loop": (loop, "it opens an epoll (an event loop)"),
    "uvloop": (uvloop, "it opens an epoll (an event loop)"),
    "connection": (connection, "unsafe.py:3: it connects to 127.0.0.1:"),
    "child": (child, "it starts the process"),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_what_a_fork_does_not_carry_along_is_found(project: Project, kind: str) -> None:
    code, says = UNSAFE[kind]
    (project.directory / "unsafe.py").write_text(code(project.directory) + "\n")
    (project.directory / "shop.py").write_text("import unsafe\n" + APP.format(version="1"))
    with project.serve(ready=False, clean=False) as server:
        assert server.wait() == 3
        assert says in server.log
        assert "--preload-unsafe" in server.log


@pytest.mark.parametrize("kind", ["thread", "connection"])
def test_a_module_can_be_excused(project: Project, kind: str) -> None:
    (project.directory / "unsafe.py").write_text(UNSAFE[kind][0](project.directory) + "\n")
    (project.directory / "shop.py").write_text("import unsafe\n" + APP.format(version="1"))
    with project.serve("--preload-unsafe", "unsafe") as server:
        assert versions(server) == {"1"}


def test_a_rollback_needs_no_disk(project: Project) -> None:
    """The former generation comes back from memory; another rollback brings the newer one."""
    with project.serve("-w", "2", "--keep-previous", "-n", "rolled") as server:
        project.write("2")
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        project.spoil()
        for generation, version in ((3, "1"), (4, "2"), (5, "1")):
            done = command(server, "rollback", "--wait")
            assert done.returncode == 0, done.stderr
            assert f"generation {generation} serves" in done.stdout
            server.until(lambda: len(workers(server)) == 2, "the others have left")
            assert versions(server) == {version}
        victim = workers(server)[0]
        victim.kill()
        server.until(
            lambda: len(workers(server)) == 2 and victim not in workers(server),
            "the worker is replaced",
        )
        assert versions(server) == {"1"}
        assert project.imports == ["1", "2"]


@pytest.mark.parametrize("options", [(), ("--keep-previous",)])
def test_nothing_to_roll_back_to(project: Project, options: tuple[str, ...]) -> None:
    with project.serve(*options) as server:
        done = command(server, "rollback", "--wait")
        assert done.returncode == 1
        assert "no former generation is kept" in done.stderr
        assert versions(server) == {"1"}


def test_a_kept_fork_server_that_dies_is_not_started_again(project: Project) -> None:
    with project.serve("-w", "1", "--keep-previous") as server:
        project.write("2")
        kept = fork_server(server)
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        kept.kill()
        server.wait_log("the fork server of generation 1 died")
        assert command(server, "rollback").returncode == 1
        assert versions(server) == {"2"}
        assert fork_server(server) != kept


def command(server: Server, *words: str) -> subprocess.CompletedProcess[str]:
    """``pyfork WORDS PID``."""
    return subprocess.run(
        [sys.executable, "-m", "pyfork", *words, str(server.pid)],
        capture_output=True,
        text=True,
        timeout=30,
    )
