"""Whatever the new code does, the old one serves on, and who waits is told why."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness.server import Server
from tests.harness.site import Site

RAISES = "1 / 0"
HANGS = "import time; time.sleep(60)"
EXITS = "import sys; sys.exit(5)"
CRASHES = "import ctypes; ctypes.string_at(0)"
NO_LIFESPAN = """
async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    raise ValueError("no database")
"""
LIFESPAN_SAYS_NO = """
async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


@contextmanager
def visitors(server: Server, allowed: set[bytes]) -> Iterator[None]:
    """Somebody asks all the time, and must hear one of ``allowed``, each time."""
    over = threading.Event()
    wrong: list[object] = []
    count = 0

    def visit() -> None:
        nonlocal count
        while not over.is_set():
            try:
                answer = server.get("/").body
            except OSError as error:
                wrong.append(error)
            else:
                count += 1
                wrong.extend({answer} - allowed)

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        yield
    finally:
        over.set()
        visitor.join()
    assert not wrong
    assert count


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (RAISES, ["ZeroDivisionError", "shop.py", "Traceback"]),
        (HANGS, ["not ready within 1 s"]),
        (EXITS, ["5"]),
        (CRASHES, ["killed by SIGSEGV"]),
        (NO_LIFESPAN, ["no database"]),
        (LIFESPAN_SAYS_NO, ["no database"]),
    ],
    ids=["raises", "hangs", "exits", "crashes", "lifespan raises", "lifespan says no"],
)
def test_code_that_does_not_boot(site: Site, code: str, told: list[str]) -> None:
    options = ("--boot-timeout", "1") if code is HANGS else ()
    server = site.serve("-w", "2", "--lifespan", "on" if code is NO_LIFESPAN else "auto", *options)
    check_failing_reload(site, server, lambda: site.write(code), told)


def test_a_file_that_cannot_be_read(site: Site) -> None:
    settings = site.directory / "pyfork.toml"
    settings.write_text("workers = 2\n")
    server = site.serve()
    check_failing_reload(
        site, server, lambda: settings.write_text("workers = "), ["pyfork.toml: is not TOML"]
    )


def check_failing_reload(site: Site, server: Server, spoil: object, told: list[str]) -> None:
    target = f":{server.port}"
    before = {process.pid for process in server.workers()}
    assert len(before) == 2
    with visitors(server, {b"one"}):
        assert callable(spoil)
        spoil()
        done = site.command("reload", target, "--wait")
        assert done.returncode == 1
        assert done.stderr.startswith("pyfork: error: reload failed, the old code keeps serving: ")
        assert all(text in done.stderr for text in told), done.stderr
        server.until(lambda: len(server.workers()) == 2, "no new worker is left")
    assert {process.pid for process in server.workers()} == before
    status = site.status(server)
    assert (status["state"], status["ready"], status["generation"]) == ("serving", True, 1)
    last = status["last_reload"]
    assert not last["ok"]
    assert all(text in last["error"] + last["detail"] for text in told)
    assert told[0] in site.command("status", target).stdout

    site.deploy("two")
    settings = site.directory / "pyfork.toml"
    settings.write_text("workers = 2\n")
    with visitors(server, {b"one", b"two"}):
        done = site.command("reload", target, "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    assert server.get("/").body == b"two"
    assert site.status(server)["last_reload"]["ok"]
    server.until(lambda: before.isdisjoint(p.pid for p in server.workers()), "the old ones left")


def test_a_page_that_says_why_is_no_success(site: Site) -> None:
    """In development the new generation serves, but not the application."""
    server = site.serve("--reload", "--reload-delay", "10")  # who asks is quicker than the watcher
    target = f":{server.port}"
    site.write(RAISES)
    done = site.command("reload", target, "--wait")
    assert done.returncode == 1
    assert done.stderr.startswith("pyfork: error: reload failed, and clients are told why: ")
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in server.get("/").body.decode()
    assert not site.status(server)["last_reload"]["ok"]
    healed(site, server)


def test_a_page_is_not_healthy(site: Site) -> None:
    """What waits for a container waits for its application; a probe by HTTP sees a 500."""
    site.write(RAISES)
    server = site.serve("--reload", "--reload-delay", "10")
    status = site.status(server)
    assert (status["state"], status["ready"], status["last_reload"]) == ("serving", False, None)
    assert "ZeroDivisionError" in status["broken"]
    assert server.get("/").status == 500
    target = f":{server.port}"
    assert site.command("status", "--quiet", target).returncode == 1
    assert (
        "clients are told why: shop.py:1: ZeroDivisionError"
        in site.command("status", target).stdout
    )
    healed(site, server)
    assert site.command("status", "--quiet", target).returncode == 0
    assert site.status(server)["broken"] is None


def healed(site: Site, server: Server) -> None:
    """The next save loads."""
    site.deploy("two")
    assert site.command("reload", f":{server.port}", "--wait").returncode == 0
    assert server.get("/").body == b"two"
    assert site.status(server)["last_reload"]["ok"]


def test_progress(site: Site) -> None:
    server = site.serve("-w", "3")
    done = site.command("reload", "--wait", str(server.pid))
    *progress, last = done.stdout.splitlines()
    assert progress[0] == "generation 2: 0 of 3 workers are ready"
    assert len(progress) <= 3
    assert last == f"server (pid {server.pid}): generation 2 serves"


def test_several_at_a_time(site: Site) -> None:
    site.write("import time; time.sleep(0.5)\n" + (site.directory / "shop.py").read_text())
    server = site.serve("-w", "4", "--reload-parallel", "4")
    wire = site.wire(server)
    wire.send("reload", wait=True)
    assert wire.receive()["progress"]["ready"] == 0
    booting = [each for each in site.status(server)["workers"] if each["state"] == "booting"]
    assert len(booting) == 4
    assert site.status(server)["state"] == "reloading"
    assert site.status(server)["ready"], "the old ones are there"


def test_the_server_ends_while_somebody_waits(site: Site) -> None:
    server = site.serve()
    site.write(HANGS)
    command = site.start("reload", "--wait", str(server.pid))
    server.until(lambda: site.status(server)["state"] == "reloading", "it reloads")
    site.wire(server).ask("stop")
    _, err = command.communicate(timeout=15)
    assert command.returncode == 1
    assert "the server is stopping" in err
