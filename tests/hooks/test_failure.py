"""A hook that fails is logged by name, and stops what it belongs to."""

import signal

import pytest

from pyfork.errors import ExitStatus
from tests.hooks.conftest import Place

FAIL = "1 / 0"


@pytest.mark.parametrize("name", ["on_starting", "when_ready", "nworkers_changed"])
def test_it_stops_the_start(name: str, place: Place) -> None:
    place.write(**{name: FAIL})
    server = place.serve(ready=False, clean=False)
    assert server.wait() == ExitStatus.FAILED
    assert f"pyfork: error: hook {name} failed: ZeroDivisionError: division by zero" in server.log
    assert f"in {name}" in server.log  # the traceback
    assert place.of("pre_fork") == []


@pytest.mark.parametrize("name", ["post_fork", "post_worker_init"])
def test_it_stops_its_worker(name: str, place: Place) -> None:
    place.write(**{name: FAIL})
    server = place.serve(ready=False, clean=False)
    assert server.wait() == ExitStatus.BOOT
    assert f"pyfork gives up: hook {name} failed: ZeroDivisionError" in server.log
    assert place.of("worker_exit")


def test_it_stops_the_fork(place: Place) -> None:
    place.write(pre_fork="if worker.age > 1: 1 / 0")
    server = place.serve()
    server.signal(signal.SIGTTIN)
    server.wait_log("cannot fork worker 1: hook pre_fork failed: ZeroDivisionError")
    assert server.get("/").status == 200


@pytest.mark.parametrize("how", ["hook", "file"])
def test_it_stops_the_reload(how: str, place: Place) -> None:
    place.write()
    server = place.serve()
    (worker,) = server.workers()
    if how == "hook":
        place.write(on_reload=FAIL)
        why = "hook on_reload failed: ZeroDivisionError"
    else:
        place.write(also=FAIL)
        why = "pyfork.conf.py: line "
    server.signal(signal.SIGHUP)
    server.wait_log(f"reload refused: {why}")
    assert how != "hook" or "in on_reload" in server.log  # the traceback
    assert server.workers() == [worker]
    place.write()
    server.signal(signal.SIGHUP)
    server.wait_log("generation 2 serves")


@pytest.mark.parametrize("mode", ["spawn", "exec"])
def test_it_stops_the_upgrade(mode: str, place: Place) -> None:
    place.write(pre_exec=FAIL)
    server = place.serve("tests.apps.wsgi:app", "--upgrade-mode", mode)
    server.signal(signal.SIGUSR2)
    server.wait_log("hook pre_exec failed: ZeroDivisionError")
    server.wait_log("upgrade failed, this arbiter keeps serving")
    assert server.get("/").status == 200


@pytest.mark.parametrize("name", ["on_starting", "when_ready", "nworkers_changed"])
def test_it_stops_the_upgrade_and_not_the_server(name: str, place: Place) -> None:
    """After an exec its start is no start: workers serve."""
    place.write()
    server = place.serve("tests.apps.wsgi:app", "--upgrade-mode", "exec")
    before = server.workers()
    place.write(**{name: FAIL})
    server.signal(signal.SIGUSR2)
    server.wait_log(f"upgrade failed, the previous workers keep serving: hook {name} failed")
    assert server.workers() == before
    assert server.get("/").status == 200
    server.signal(signal.SIGHUP)
    server.wait_log("generation 2 serves")


def test_it_stops_the_request(place: Place) -> None:
    place.write(pre_request="if req.path == '/none': 1 / 0")
    server = place.serve()
    assert server.get("/none").status == 500
    server.wait_log("hook pre_request failed: ZeroDivisionError")
    assert server.get("/").status == 200


def test_it_stops_nothing_where_nothing_is_left_to_stop(place: Place) -> None:
    names = ["post_request", "worker_exit", "child_exit", "on_exit"]
    place.write(nworkers_changed="if old: 1 / 0", **dict.fromkeys(names, FAIL))
    server = place.serve()
    assert server.get("/").status == 200
    server.signal(signal.SIGTTIN)
    server.wait_log("is ready", 2)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    for name in (*names, "nworkers_changed"):
        assert f"hook {name} failed: ZeroDivisionError" in server.log


def test_what_holds_the_arbiter_up_is_told(place: Place) -> None:
    place.write(
        on_starting="import threading; threading.Thread(target=threading.Event().wait, "
        "daemon=True).start()",
        when_ready="import time; time.sleep(1.1)",
    )
    server = place.serve()
    assert "has started 1 thread in the arbiter" in server.log
    assert "hook when_ready took 1.1 s" in server.log
    assert server.get("/").status == 200


KINDS = {
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "SystemExit": "raise SystemExit",
    "GeneratorExit": "raise GeneratorExit",
    "CancelledError": "import asyncio; raise asyncio.CancelledError",
    "Panic": "raise type('Panic', (BaseException,), {})",
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("app", ["tests.apps.wsgi:app", "tests.apps.asgi:app"])
def test_whatever_a_hook_of_a_request_raises(place: Place, app: str, kind: str) -> None:
    """Before it, it is answered with 500; behind it, it is logged; the worker goes on."""
    place.write(
        pre_request=f"if req.path == '/none': {KINDS[kind]}",
        post_request=KINDS[kind],
        worker_exit=KINDS[kind],
    )
    server = place.serve(app)
    before = server.workers()
    assert server.get("/none").status == 500
    server.wait_log(f"hook pre_request failed: {kind}")
    for _ in range(2):
        assert server.get("/").status == 200
    server.until(lambda: server.log.count("hook post_request failed: ") >= 2, "it was called")
    assert server.workers() == before
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert f"hook worker_exit failed: {kind}" in server.log
    assert server.log.count("in pre_request\n") == 1  # the traceback


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("name", ["post_fork", "post_worker_init"])
def test_whatever_a_hook_of_a_worker_raises(place: Place, name: str, kind: str) -> None:
    place.write(**{name: KINDS[kind]})
    server = place.serve(ready=False, clean=False)
    assert server.wait() == ExitStatus.BOOT
    assert f"pyfork gives up: hook {name} failed: {kind}" in server.log
