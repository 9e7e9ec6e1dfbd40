"""The operator's end of the control socket: find the server that is meant, ask it, listen.

Rules: prints nothing, decides on no exit status; what goes wrong is a PyforkError.
"""

import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self

from pyfork.address import Address, Inet, Unix, parse
from pyfork.ctl import tables
from pyfork.errors import ConfigError, PyforkError
from pyfork.net import control_socket
from pyfork.system.peercred import peer_credentials

PATIENCE = 5.0  # seconds that a server may take to answer at once
EXIT_PATIENCE = 10.0  # seconds between a server's last word and the end of its process

_LOOPBACK = ("127.0.0.1", "::1")


class ControlClient:
    """A connection to one server. It asks for the status first, to know whom it speaks to."""

    status: dict[str, Any]  # once it has been met

    def __init__(self, path: str) -> None:
        """Ask for the server. Raises OSError if there is none."""
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stream = self._socket.makefile("rb")
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.connect(path)
            self._send("status")
        except BaseException:
            self.close()
            raise

    def read_status(self, patience: float) -> Self:
        """Hear who is there, within ``patience`` seconds.

        Raises:
            OSError, PyforkError: no server answers. The connection is closed.
        """
        try:
            (answer,) = self._answers(patience)
            if not answer["ok"]:
                raise PyforkError(f"{self.path}: {answer['error']}")
        except BaseException:
            self.close()
            raise
        self.status = answer["status"]
        return self

    def ask(self, request: str, *, wait: bool = False, **options: Any) -> Iterator[dict[str, Any]]:
        """The answers to a request, the last of which has ``ok``.

        Args:
            wait: the answer may take any time, and progress comes before it.

        Raises:
            OSError, PyforkError: there is no answer.
        """
        self._send(request, **({"wait": True} if wait else {}), **options)
        yield from self._answers(None if wait else PATIENCE)

    def _send(self, request: str, **options: Any) -> None:
        self._socket.sendall(json.dumps({"request": request, **options}).encode() + b"\n")

    def _answers(self, patience: float | None) -> Iterator[dict[str, Any]]:
        self._socket.settimeout(patience)
        while line := self._stream.readline():
            try:
                answer = json.loads(line)
            except ValueError:
                answer = None
            if not isinstance(answer, dict):
                raise PyforkError(f"{self.path}: that is no pyfork server")
            yield answer
            if "ok" in answer:
                return
        raise PyforkError("the server has ended without an answer")

    def request_takeover(self) -> socket.socket:
        """Ask to take over; from here on the socket is a channel between two arbiters."""
        self._socket.sendall(b'{"request": "takeover"}\n')
        return self._socket.dup()

    def wait_end(self) -> None:
        """Wait until the server is gone, connection and process."""
        process = _watch_process(self._socket)
        try:
            self._socket.settimeout(None)
            with contextlib.suppress(ConnectionResetError):
                while self._stream.readline():
                    pass
            if process is not None:
                select.select([process], [], [], EXIT_PATIENCE)
        finally:
            if process is not None:
                os.close(process)

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._socket.close()


def find(target: str | None) -> ControlClient:
    """A connection to the server that is meant: by name, process id, address or socket path.

    Of several, the one that was started from the current directory is.

    Raises:
        PyforkError: there is none, or more than one; then the message lists them.
    """
    if target and "/" in target and ":" not in target:
        return _connect(target)
    answering, silent = running()
    meant = [one for one in answering if target is None or matches(target, one.status)]
    if target and not meant:
        asked = {one.path for one in answering}
        elsewhere, _ = running(*(path for path in control_sockets() if path not in asked))
        meant = [one for one in elsewhere if matches(target, one.status)]
        for one in answering:
            one.close()
        answering = elsewhere  # with all of those before
    # Old and new of an upgrade have name and address in common: who leaves is not meant.
    staying = [one for one in meant if one.status["state"] not in ("draining", "stopping")]
    here = [one for one in staying if _started_here(one.status)]
    chosen = next((few for few in (staying, here) if len(few) == 1), meant)
    for one in answering:
        if chosen != [one]:
            one.close()
    if len(chosen) == 1:
        return chosen[0]
    raise PyforkError(_refusal(target, [one.status for one in meant or answering], silent))


def find_running(targets: Iterable[str], control: str) -> ControlClient | None:
    """A connection to the server that one of ``targets`` means and that is to stay, if any.

    ``control`` is where its control socket may be besides: what ``--control`` says.
    """
    answering, _ = running(*([control] if control not in ("auto", "off") else []))
    found = None
    for target in targets:
        for one in answering:
            stays = one.status["state"] not in ("draining", "stopping")
            if found is None and stays and matches(target, one.status):
                found = one
    for one in answering:
        if one is not found:
            one.close()
    return found


def control_sockets() -> list[str]:
    """The control sockets of all arbiters that run, wherever ``--control`` has put them."""
    from pyfork.ctl import processes  # it looks at every process: few need that

    return [each.control for each in processes.arbiters() if each.control is not None]


def matches(target: str, status: dict[str, Any]) -> bool:
    """Whether somebody who says ``target`` may mean this server."""
    if target in (status["name"], str(status["pid"])):
        return True
    if ":" not in target:  # a host alone is no address here: it would be any name
        return False
    try:
        wanted = parse(target)
    except ConfigError:
        return False
    return any(_leads_to(wanted, parse(text)) for text in status["addresses"])


def _started_here(status: dict[str, Any]) -> bool:
    """Whether the server was started from the current directory."""
    directory = status.get("directory") or ""  # a server of an older release does not say it
    try:
        return directory != "" and os.path.realpath(directory) == os.getcwd()
    except OSError:  # the current directory is gone
        return False


def _leads_to(wanted: Address, bound: Address) -> bool:
    match wanted, bound:
        case [Inet(), Inet()]:
            same = wanted.host == bound.host or (
                wanted.host == "localhost" and bound.host in _LOOPBACK
            )
            return wanted.port == bound.port and (same or wanted.wildcard or bound.wildcard)
        case [Unix(abstract=False), Unix()]:
            return os.path.abspath(wanted.path) == bound.path
    return wanted == bound


def _connect(path: str) -> ControlClient:
    try:
        return ControlClient(path).read_status(PATIENCE)
    except OSError as error:
        raise PyforkError(f"{path}: no server answers there: {error.strerror or error}") from None


def running(*more: str, patience: float = PATIENCE) -> tuple[list[ControlClient], list[str]]:
    """Every server that answers, and the sockets of those that live and do not.

    Args:
        more: paths of control sockets that are in none of the usual directories.
        patience: seconds that all of them together may take.
    """
    asked, answering, silent = [], [], []
    for path in dict.fromkeys([*more, *control_socket.sockets()]):
        try:
            asked.append(ControlClient(path))
        except (ConnectionRefusedError, FileNotFoundError):  # stale
            continue
        except OSError:
            silent.append(path)
    # All have been asked before the first is waited for: those that hang take their time together.
    deadline = time.monotonic() + patience
    for one in asked:
        try:
            answering.append(one.read_status(max(0.1, deadline - time.monotonic())))
        except (OSError, PyforkError):
            silent.append(one.path)
    return answering, silent


def _refusal(target: str | None, statuses: list[dict[str, Any]], silent: list[str]) -> str:
    mute = "".join(f"\n{path} does not answer" for path in silent)
    if not statuses:
        wanted = f" that is {target!r}" if target else ""
        return f"no running server{wanted} was found{mute}"
    listed = f":\n{tables.servers(statuses)}{mute}"
    if target and not any(matches(target, status) for status in statuses):
        return f"no running server is {target!r}; there are{listed}"
    return f"several servers are meant: name one by its name, pid or address{listed}"


def _watch_process(connected: socket.socket) -> int | None:
    """A pidfd of the process on the other side, where the system has such a thing."""
    peer = peer_credentials(connected)
    if peer is None or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(peer.pid)
    except OSError:  # it is gone, or not to be seen from this container
        return None
