"""Every signal that the arbiter handles, declared once, and the pipe in which they arrive.

A handler does nothing: the interpreter writes the signal's number into a socket pair, and the
loop reads it there as it reads every other input. `python -m pyfork.arbiter.commands.signals`
prints docs/signals.md.
"""

import os
import signal
import socket
from collections.abc import Mapping
from types import FrameType

from pyfork.arbiter.component import Component
from pyfork.record import record


@record
class SignalSpec:
    """One row of the table."""

    number: signal.Signals
    command: str  # of `pyfork.arbiter.commands.table`
    help: str
    options: Mapping[str, object] = {}


SIGNALS = (
    SignalSpec(
        signal.SIGTERM,
        "stop",
        "Graceful stop: after `--drain-delay`, workers finish their requests within "
        "`--graceful-timeout`. A second one ends the delay; one without a delay to end stops "
        "quickly. While an upgrade starts a new arbiter beside this one, the first `TERM` lets it "
        "finish.",
        {"escalate": True},
    ),
    SignalSpec(
        signal.SIGINT,
        "stop",
        "Quick stop: running requests are cut, and workers that have not exited after 2 seconds "
        "are killed. A second one kills at once.",
        {"quick": True, "escalate": True},
    ),
    SignalSpec(signal.SIGQUIT, "stop", "Quick stop, as `INT`.", {"quick": True, "escalate": True}),
    SignalSpec(
        signal.SIGHUP,
        "reload",
        "Reload configuration and application: new workers boot beside the old ones, which leave "
        "when all the new ones are ready. If one fails, the old ones keep serving.",
    ),
    SignalSpec(signal.SIGTTIN, "scale", "One more worker, until the next reload.", {"by": 1}),
    SignalSpec(
        signal.SIGTTOU,
        "scale",
        "One worker less, but never none, until the next reload.",
        {"by": -1},
    ),
    SignalSpec(signal.SIGUSR1, "reopen-logs", "Reopen the log files, in every process."),
    SignalSpec(
        signal.SIGWINCH,
        "retire",
        "Retire all workers and keep the port, until the next `HUP`. Ignored on a terminal, which "
        "sends it when its window changes.",
    ),
    SignalSpec(
        signal.SIGUSR2,
        "upgrade",
        "Upgrade pyfork itself, and the interpreter, in place of a new deploy: the new program is "
        "checked, started on the same listeners, and only when it is ready this one drains.",
    ),
    SignalSpec(signal.SIGCHLD, "reap", "Internal: a child process ended."),
)


class SignalPipe(Component):
    """The pipe in which signals wait for the loop, from construction to `close`.

    The wakeup fd is set before the handlers, so that each signal runs the earlier handler or
    arrives here. After `close` signals are ignored: the process is about to exit.
    """

    def __init__(self) -> None:
        self._ours, self._wakeup = socket.socketpair()
        self._ours.setblocking(False)
        self._wakeup.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for spec in SIGNALS:
            signal.signal(spec.number, _do_nothing)
        numbers = {spec.number for spec in SIGNALS}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # the parent may have blocked them

    def fileno(self) -> int:
        """The fd that is readable when a signal has arrived."""
        return self._ours.fileno()

    @property
    def pending(self) -> bool:
        """Whether a signal has arrived that was not read."""
        try:
            return bool(self._ours.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def read(self) -> list[SignalSpec]:
        """The signals of the table that have arrived, in order."""
        try:
            numbers = self._ours.recv(4096)
        except BlockingIOError:
            return []
        by_number = {int(spec.number): spec for spec in SIGNALS}
        return [by_number[number] for number in numbers if number in by_number]

    def close(self) -> None:
        """Ignore signals from now on.

        The interpreter removes handlers when it exits, and the next signal would change the exit
        status of the process.
        """
        for spec in SIGNALS:
            signal.signal(spec.number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self.close_in_child()

    def close_in_child(self) -> None:
        """Close both ends; `fork` has reset the handlers and the wakeup fd."""
        self._ours.close()
        self._wakeup.close()


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """The wakeup fd has the signal. SIG_DFL or SIG_IGN would not write it there."""


def in_terminal() -> bool:
    """Whether this process is in the foreground of a terminal, which sends it SIGWINCH."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def page() -> str:
    """docs/signals.md."""
    rows = [f"| `{spec.number.name[3:]}` | {spec.help} |" for spec in SIGNALS]
    return "\n".join(
        [
            "# Signals",
            "",
            "<!-- Generated: python -m pyfork.arbiter.commands.signals > docs/signals.md -->",
            "",
            "Send them to the arbiter: its process id is in the first line of the log and in the "
            "`--pid` file.",
            "",
            "| signal | what happens |",
            "|---|---|",
            *rows,
            "",
            "The arbiter controls workers by messages, but a worker handles signals, too. `TERM` "
            "drains it, `INT` and `QUIT` end it quickly; another worker then replaces it. `USR1` "
            "reopens its log files. Other signals have no effect on a worker.",
            "",
        ]
    )


if __name__ == "__main__":
    print(page(), end="")
