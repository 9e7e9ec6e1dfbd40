"""Each hook is called when it is to be, in the process where it belongs."""

import signal
from pathlib import Path

import pytest

from pyfork.config.config import SETTINGS
from tests.end_to_end.upgrade.conftest import new_arbiter
from tests.harness.script import Script
from tests.hooks.conftest import Call, Place


def test_the_life_of_a_server(place: Place) -> None:
    place.write()
    server = place.serve("tests.apps.wsgi:app", "-w", "2")
    assert server.get("/").status == 200
    server.signal(signal.SIGTTIN)
    server.until(lambda: len(place.of("post_worker_init")) == 3, "a third worker is there")
    server.signal(signal.SIGHUP)
    server.wait_log("generation 2 serves")
    server.until(lambda: len(place.of("child_exit")) == 3, "the first three are gone")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0

    calls = place.calls
    names = [each.name for each in calls]
    assert names[:3] == ["nworkers_changed", "on_starting", "when_ready"]
    assert names[-1] == "on_exit"
    assert [(each.said["new"], each.said["old"]) for each in place.of("nworkers_changed")] == [
        (2, None),
        (3, 2),
        (2, 3),
    ]
    assert len(place.of("on_reload")) == 1
    for each in calls:
        in_arbiter = "In the arbiter" in SETTINGS[each.name].help
        assert (each.pid == server.pid) == in_arbiter, each
        assert each.said.get("server", server.pid) == server.pid
    ages = sorted(each.said["age"] for each in place.of("pre_fork"))
    assert ages == [1, 2, 3, 4, 5]
    for age in ages:
        check_life([each for each in calls if each.said.get("age") == age])


def check_life(calls: list[Call]) -> None:
    """Of one worker."""
    assert [each.name for each in calls if "request" not in each.name] == [
        "pre_fork",
        "post_fork",
        "post_worker_init",
        "worker_exit",
        "child_exit",
    ]
    pid = calls[1].pid
    assert calls[0].said["worker"] is None
    assert {each.said["worker"] for each in calls[1:]} == {pid}
    assert pid not in calls[-1].said["workers"]


@pytest.mark.parametrize(
    ("kind", "interface"),
    [("sync", "wsgi"), ("thread", "wsgi"), ("asgi", "asgi"), ("uvicorn", "asgi")],
)
def test_around_each_request(kind: str, interface: str, place: Place) -> None:
    place.write()
    server = place.serve(f"tests.apps.{interface}:app", "-k", kind)
    hello = server.get("/?x=%20", **{"X-Agent": "Smith"})
    assert hello.body == f"hello from {interface}".encode()
    assert server.get("/none").status == 404
    server.until(lambda: len(place.of("post_request")) == 2, "both were told of")
    (worker,) = server.workers()
    before, after = place.of("pre_request"), place.of("post_request")
    assert {each.pid for each in (*before, *after)} == {worker.pid}
    assert before[0].said["method"] == "GET"
    assert before[0].said["uri"] == "/?x=%20"
    assert before[0].said["path"] == "/"
    assert before[0].said["agent"] == "Smith"
    assert before[0].said["version"] == [1, 1]
    assert [each.said["status"] for each in after] == ["200 OK", "404 Not Found"]
    assert {each.said["mark"] for each in after} == {"kept"}
    assert after[0].said["sent"] == len(hello.body)
    assert after[0].said["info"] == ("/" if interface == "wsgi" else None)


def test_a_worker_that_hangs_is_told_of_before_it_is_killed(place: Place) -> None:
    place.write()
    (place.directory / "hang.py").write_text(
        "def app(environ, start_response):\n    while environ['PATH_INFO'] != '/': pass\n"
        "    start_response('204 No Content', [])\n    return []\n"
    )
    server = place.serve("hang:app", "-t", "1")
    connection = server.connect()
    connection.request("GET", "/hang")
    server.until(lambda: place.of("worker_abort"), "it is told of")
    server.wait_log("killed by SIGABRT")
    connection.close()
    (call,) = place.of("worker_abort")
    assert call.said["worker"] == call.pid
    assert "hang.py" in server.log  # the stacks


def test_who_has_to_leave_at_once_is_told(place: Place) -> None:
    place.write()
    server = place.serve("tests.apps.asgi:app", "-w", "2")
    pids = {each.pid for each in server.workers()}
    server.signal(signal.SIGQUIT)
    server.wait()
    assert {each.pid for each in place.of("worker_int")} == pids
    assert len(place.of("worker_exit")) == 2


@pytest.mark.parametrize("mode", ["spawn", "exec"])
def test_before_another_program_is_executed(mode: str, place: Place) -> None:
    place.write()
    server = place.serve("tests.apps.wsgi:app", "--upgrade-mode", mode)
    first = server.pid
    server.signal(signal.SIGUSR2)
    if mode == "exec":
        server.wait_log("generation 2 serves")
        assert [each.pid for each in place.of("pre_exec")] == [first]
        assert place.of("on_reload") == []  # nobody has asked for one
    else:
        server.wait_log("the old arbiter has exited")
        new = new_arbiter(server)
        assert [each.pid for each in place.of("pre_exec")] == [new]
        assert [each.pid for each in place.of("on_exit")] == [first]
        server.follow(new)
    assert len(place.of("on_starting")) == 2


def test_a_script_has_those_of_a_process(place: Place, tmp_path: Path) -> None:
    place.write()
    (tmp_path / "server.py").write_text(
        "import http.server as h\nh.ThreadingHTTPServer(('127.0.0.1', 0), "
        "h.SimpleHTTPRequestHandler).serve_forever()\n"
    )
    with Script("server.py", workers=2, directory=tmp_path):
        pass
    names = [each.name for each in place.calls]
    assert names.count("post_fork") == names.count("child_exit") == 2
    assert {"on_starting", "when_ready", "on_exit"} <= set(names)
