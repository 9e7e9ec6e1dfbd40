"""The commands, as operators and deploy scripts use them."""

import json
import re
import signal
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from pyfork import cli
from pyfork.ctl import client, commands, tables
from pyfork.errors import PyforkError
from pyfork.net import control_socket
from tests.harness.site import Site


@pytest.fixture
def alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """No other server of this machine is seen from this process."""
    monkeypatch.setattr(control_socket, "runtime_directories", lambda: [site.runtime / "pyfork"])
    monkeypatch.setattr(client, "control_sockets", list)
    return site


def test_every_command_has_its_door() -> None:
    others = {"serve", "run", "start", "completion", "help"}
    assert set(cli._COMMANDS) == {*others, *commands.COMMANDS, *commands.ALIASES}


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_help(site: Site, name: str) -> None:
    for words in ((name, "--help"), (name, "-h")):
        done = site.command(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"Usage: pyfork {name} [OPTIONS]" in done.stdout
        assert commands.COMMANDS[name].help.split(".")[0] in " ".join(done.stdout.split())


def test_the_general_help_lists_them(site: Site) -> None:
    text = site.command("--help").stdout
    assert all(re.search(rf"^  {name} +\S", text, re.M) for name in commands.COMMANDS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("status", "--jsn"), "--jsn: no such option; did you mean --json?"),
        (("status", "a", "b"), "b: one argument too many"),
        (("scale",), "N is missing; see pyfork scale --help"),
        (("reload", "--quick"), "--quick: no such option"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    site: Site, words: tuple[str, ...], message: str
) -> None:
    done = site.command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"pyfork: error: {message}\n"


def test_status(site: Site) -> None:
    server = site.serve("-w", "2", "-n", "blue")
    done = site.command("status", "blue")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"blue (pid {server.pid}), pyfork ")
    assert lines[0].endswith(f"serves shop:app on 127.0.0.1:{server.port}")
    assert lines[1].startswith("serving: 2 of 2 workers, generation 1, up ")
    assert lines[3].split()[:3] == ["slot", "pid", "gen"]
    assert [line.split()[0] for line in lines[4:]] == ["0", "1"]
    assert json.loads(site.command("status", "blue", "--json").stdout)["pid"] == server.pid
    quiet = site.command("status", "--quiet", "blue")
    assert (quiet.returncode, quiet.stdout) == (0, "")


def test_status_fails_while_a_worker_is_missing(site: Site) -> None:
    server = site.serve("-w", "2")
    site.write("import time; time.sleep(60)")
    server.workers()[0].kill()
    server.until(lambda: not site.status(server)["ready"], "it is missed")
    done = site.command("status", str(server.pid))
    assert done.returncode == 1
    assert "serving: 1 of 2 workers" in done.stdout


def test_two_servers_side_by_side(alone: Site) -> None:
    path = alone.directory / "sock"
    blue = alone.serve("-n", "blue", "-b", "0.0.0.0:0")
    green = alone.serve("-n", "green", "-b", f"unix:{path}")
    port = blue.port
    for server, targets in (
        (blue, ("blue", str(blue.pid), f":{port}", f"127.0.0.1:{port}", f"localhost:{port}")),
        (green, ("green", str(green.pid), f"unix:{path}", str(alone.socket(green)))),
    ):
        for target in targets:
            found = client.find(target)
            assert found.status["pid"] == server.pid, target
            found.close()
    for target, message in (
        (None, "several servers are meant"),
        ("red", "no running server is 'red'"),
        (str(port), f"no running server is '{port}'"),
        ("unix:/none", "no running server is 'unix:/none'"),
        ("/none", "/none: no server answers there"),
    ):
        with pytest.raises(PyforkError, match=message) as caught:
            client.find(target)
        listed = str(caught.value)
        assert target == "/none" or (str(blue.pid) in listed and str(green.pid) in listed)
    assert alone.command("stop", "--wait", "blue").returncode == 0
    assert blue.wait(1) == 0
    left = client.find(None)
    assert left.status["pid"] == green.pid
    left.close()


def test_the_server_of_this_directory_is_meant(alone: Site) -> None:
    blue = alone.serve("-n", "twin")
    elsewhere = alone.directory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "shop.py").write_text((alone.directory / "shop.py").read_text())
    here, alone.directory = alone.directory, elsewhere
    green = alone.serve("-n", "twin")
    assert json.loads(alone.command("status", "--json").stdout)["pid"] == green.pid
    assert json.loads(alone.command("status", "--json", "twin").stdout)["pid"] == green.pid
    alone.directory = here
    assert json.loads(alone.command("status", "--json").stdout)["pid"] == blue.pid


def test_none_is_running(alone: Site) -> None:
    with pytest.raises(PyforkError, match="no running server was found"):
        client.find(None)
    with pytest.raises(PyforkError, match="no running server that is 'blue' was found"):
        client.find("blue")


def test_who_leaves_is_not_meant(alone: Site) -> None:
    """As in an upgrade: two servers of one name, of which one goes."""
    old = alone.serve("-n", "blue", "--drain-delay", "600")
    new = alone.serve("-n", "blue")
    with pytest.raises(PyforkError, match="several"):
        client.find("blue")
    old.signal(signal.SIGTERM)
    old.until(lambda: alone.status(old)["state"] == "draining", "it leaves")
    found = client.find("blue")
    assert found.status["pid"] == new.pid
    found.close()
    old.signal(signal.SIGTERM)
    old.wait()


def test_reload_and_scale(site: Site) -> None:
    server = site.serve("-w", "2")
    pid = str(server.pid)
    site.deploy("two")
    done = site.command("reload", pid)
    assert (done.returncode, done.stdout) == (0, f"server (pid {pid}): generation 2 boots\n")
    server.wait_log("generation 2 serves")
    done = site.command("reload", pid, "--wait", "--json")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0] == {"progress": {"generation": 3, "ready": 0, "of": 2}}
    assert answers[-1] == {"ok": True, "generation": 3}
    for word, size in (("+1", 3), ("-2", 1), ("2", 2)):
        done = site.command("scale", word, pid)
        assert (done.returncode, done.stdout) == (0, f"server (pid {pid}) scales to {size}\n")
    assert "no running server is 'many'" in site.command("scale", "many", pid).stderr
    turned = site.command("scale", f":{server.port}", "2")
    assert (turned.returncode, turned.stdout) == (0, f"server (pid {pid}) scales to 2\n")
    done = site.command("scale", "-5", pid)
    assert (done.returncode, done.stdout) == (1, "")
    assert "may be asked for" in done.stderr
    done = site.command("scale", "-5", pid, "--json")
    assert json.loads(done.stdout)["ok"] is False
    assert done.returncode == 1


@pytest.mark.parametrize("flags", [(), ("--quick",), ("--wait",), ("--wait", "--quick", "--json")])
def test_stop(site: Site, flags: tuple[str, ...]) -> None:
    server = site.serve()
    done = site.command("stop", str(server.pid), *flags)
    assert (done.returncode, done.stderr) == (0, "")
    if "--wait" in flags:
        assert psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE, "it is gone by now"
    assert server.wait() == 0


def test_stop_waits_for_requests(site: Site) -> None:
    server = site.serve()
    with socket.create_connection(("127.0.0.1", server.port)) as visitor:
        visitor.sendall(b"GET /?1 HTTP/1.0\r\n\r\n")
        server.until(lambda: site.status(server)["workers"][0]["in_flight"], "it is in flight")
        assert site.command("stop", "--wait", str(server.pid)).returncode == 0
        assert visitor.makefile("rb").read().endswith(b"one")


def test_a_command_that_waits_can_be_interrupted(site: Site) -> None:
    server = site.serve("--drain-delay", "600")
    command = site.start("stop", "--wait", str(server.pid))
    server.until(lambda: site.status(server)["state"] == "draining", "it was asked to")
    command.send_signal(signal.SIGINT)
    assert command.wait(10) == -signal.SIGINT
    server.signal(signal.SIGTERM)
    server.wait()


def test_servers_that_hang_take_their_time_together(
    alone: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE", 1.0)
    server = alone.serve()
    with ExitStack() as stack:
        for number in range(20):
            mute = stack.enter_context(socket.socket(socket.AF_UNIX))
            mute.bind(str(alone.socket(server).with_name(f"{number}.sock")))
            mute.listen()
        before = time.monotonic()
        found = client.find(None)
        assert time.monotonic() - before < 15, "they were waited for one after the other"
        assert found.status["pid"] == server.pid
        found.close()


def test_a_server_that_does_not_answer(alone: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE", 0.2)
    server = alone.serve()
    server.signal(signal.SIGSTOP)
    try:
        with pytest.raises(PyforkError, match=f"{server.pid}.sock does not answer"):
            client.find(None)
    finally:
        server.signal(signal.SIGCONT)


@pytest.mark.parametrize("greeting", [b"220 mail.example ESMTP\n", b"[]\n"])
def test_something_else_that_listens(tmp_path: Path, greeting: bytes) -> None:
    path = str(tmp_path / "other")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()

        def answer() -> None:
            end, _ = other.accept()
            with end:
                end.recv(100)
                end.sendall(greeting)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(PyforkError, match="that is no pyfork server"):
            client.find(path)
        thread.join()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"),
     (7500, "2 h 5 min"), (86400, "1 d"), (90061, "1 d 1 h")],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text


def test_a_table_shows_nothing_that_a_terminal_would_obey() -> None:
    assert "\x1b" not in tables.table(("doing",), [("GET /\x1b[2J",)])


def test_no_text_of_a_server_forges_a_line_of_its_status() -> None:
    sent = "x\n\x1b[2J\u202e\u2028"
    outcome = {"ok": False, "ago": 1.0, "error": sent, "detail": f"Traceback:\n{sent}"}
    worker = {
        "slot": 0,
        "pid": 1,
        "generation": 1,
        "state": sent,
        "age": 1.0,
        "connections": 0,
        "in_flight": 1,
    }
    status = {
        **dict.fromkeys(("name", "app", "version", "state", "broken"), sent),
        "pid": 1,
        "addresses": [sent],
        "generation": 1,
        "uptime": 1.0,
        "last_reload": outcome,
        "last_upgrade": outcome,
        "workers_wanted": 1,
        "workers": [worker | {"requests": 0, "doing": sent, "busy": 2.0, "memory": None}],
    }
    text = tables.status(status)
    assert all(line.isprintable() for line in text.split("\n"))
    assert all(line.startswith("    ") for line in text.split("\n") if "[2J" in line[:8])
    assert text.count("\n") == 13


def test_the_parser_is_named(site: Site) -> None:
    server = site.serve("--http", "h11")
    assert site.status(server)["http"] == "h11"
    assert "HTTP is parsed by h11" in site.command("status", str(server.pid)).stdout
    printed = site.command("serve", "--http", "h11", "--print-config", "shop:app").stdout
    assert re.search(r"^http +h11 +--http$", printed, re.MULTILINE)
