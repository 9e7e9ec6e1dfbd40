"""The titles of processes, as ``ps`` shows them."""

from pyfork.log.formatter import printable


def arbiter_title(name: str | None, app: str | None) -> str:
    """``pyfork: arbiter [shop] shop.wsgi:app``."""
    return " ".join(["pyfork: arbiter", *_named(name), *([app] if app else [])])


def worker_title(name: str | None, slot: int, generation: int, state: str) -> str:
    """``pyfork: worker [shop] slot 2 gen 5 serving``."""
    return " ".join(["pyfork: worker", *_named(name), f"slot {slot} gen {generation} {state}"])


def watcher_title(name: str | None) -> str:
    """``pyfork: watcher [shop]``."""
    return " ".join(["pyfork: watcher", *_named(name)])


def fork_server_title(name: str | None, generation: int) -> str:
    """``pyfork: fork server [shop] gen 5``."""
    return " ".join(["pyfork: fork server", *_named(name), f"gen {generation}"])


def status_title(name: str | None) -> str:
    """``pyfork: status [shop]``: the status server."""
    return " ".join(["pyfork: status", *_named(name)])


def log_title() -> str:
    """``pyfork: log``: the process that calls logging handlers for the arbiter."""
    return "pyfork: log"


def set_title(title: str) -> None:
    """Make ``title`` the title of this process."""
    import setproctitle  # its import reads the environment: not before it is needed

    setproctitle.setproctitle(printable(title))


def _named(name: str | None) -> list[str]:
    return [f"[{name}]"] if name else []
