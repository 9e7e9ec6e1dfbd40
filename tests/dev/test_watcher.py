"""The watcher's process: it ends with the arbiter, and is replaced if it dies before."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from pyfork.config.config import Config
from pyfork.dev.watch_filter import WatchFilter
from tests.dev.project import PATIENCE, Development, Project


def test_it_is_replaced_when_it_dies(project: Project) -> None:
    with Development(project, "shop:app") as server:
        first = server.until(server.watcher, "it watches")
        assert first
        first.kill()
        server.says(r"the watcher died \(killed by SIGKILL\)")
        second = server.until(server.watcher, "it watches again", PATIENCE)
        assert second
        assert second.pid != first.pid
        project.price("two")
        server.answers("two")
        assert server.reloads() == 1


def test_what_was_saved_while_nobody_watched_is_seen(project: Project) -> None:
    with Development(project, "shop:app") as server:
        watcher = server.until(server.watcher, "it watches")
        assert watcher
        watcher.suspend()
        project.price("two")
        watcher.kill()
        server.answers("two")


def test_it_ends_with_the_arbiter(project: Project) -> None:
    with Development(project, "shop:app", clean=False) as server:
        watcher = server.until(server.watcher, "it watches")
        assert watcher
        server.signal(signal.SIGKILL)
        server.until(lambda: not psutil.pid_exists(watcher.pid), "it has ended", PATIENCE)


def test_a_stop_of_the_whole_process_group_is_quiet(project: Project) -> None:
    """As the stop button of an IDE and timeout(1) send it."""
    with Development(project, "shop:app") as server:
        server.until(server.watcher, "it watches")
        project.price("two")
        server.answers("two")  # it has set up its signals
        os.killpg(server.pid, signal.SIGTERM)
        assert server.wait() == 0
        assert "died" not in server.log


def test_it_holds_no_socket_of_the_server(project: Project) -> None:
    with Development(project, "shop:app", "-w", "2") as server:
        watcher = server.until(server.watcher, "it watches")
        assert watcher
        assert not watcher.net_connections()
        sockets = [fd for fd in os.listdir(f"/proc/{watcher.pid}/fd") if _is_socket(watcher, fd)]
        assert len(sockets) == 1  # its channel


def _is_socket(process: psutil.Process, fd: str) -> bool:
    try:
        return os.readlink(f"/proc/{process.pid}/fd/{fd}").startswith("socket:")
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("engine", ["poll", "inotify"])
def test_every_engine_sees_the_same(project: Project, engine: str) -> None:
    with Development(project, "shop:app", "--reload-engine", engine) as server:
        project.price("two")
        server.answers("two")
        project.write("deep/er/fresh.py", "")
        server.says(r"deep/er/fresh\.py is new")
        project.write("deep/er/fresh.py", "X = 1\n")
        server.says(r"deep/er/fresh\.py changed")
        project.delete("deep")
        server.says(r"deep/er/fresh\.py was deleted")


def test_without_reload_nobody_watches(project: Project) -> None:
    server = Development(project, "shop:app")
    server._command.remove("--reload")
    with server:
        assert server.watcher() is None
        assert len(server.processes()) == 2


SEEN = {
    "app.py": True,
    "app.pyc": False,
    "page.html": True,
    ".env": True,
    ".env.local": True,
    "rates.yaml": True,
    "rates.csv": False,
    "shop/templates/mail.txt": True,
    "shop/templates/.mail.txt.swp": False,
    "shop/templates/mail.txt~": False,
    "shop/locale/de/LC_MESSAGES/django.mo": True,
    "shop/locale/de/LC_MESSAGES/django.po": False,
    "shop/static/shop.css": False,
    ".hidden.py": False,
    "shop/views.py": True,
    "shop/old/views.py": True,
    "old/views.py": False,
    "shop/legacy/views.py": False,
    "shop/views_test.py": False,
    "shop/#views.py#": False,
    "shop/.#views.py": False,
    "shop/views.py~": False,
    "shop/flycheck_views.py": False,
    ".venv/lib/a.py": False,
    ".git/hooks/a.py": False,
    "node_modules/a/a.py": False,
    "shop/__pycache__/a.py": False,
}


def test_what_counts(tmp_path: Path) -> None:
    for name in SEEN:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    config = Config(
        reload=True,
        reload_include=("*.yaml",),
        reload_exclude=("old/", "*_test.py", str(tmp_path / "shop" / "legacy")),
    )
    found = WatchFilter.of(config, (), str(tmp_path)).scan()
    seen = {os.path.relpath(path, tmp_path) for path in found.files}
    assert seen == {name for name, counts in SEEN.items() if counts}


def test_directories_within_others_are_watched_once(tmp_path: Path) -> None:
    for name in ("a/b", "ab"):
        (tmp_path / name).mkdir(parents=True)
    config = Config(reload=True, reload_dir=("a", "a/b", "ab", str(tmp_path / "a")))
    interest = WatchFilter.of(config, (), str(tmp_path))
    assert interest.directories == (str(tmp_path / "a"), str(tmp_path / "ab"))
