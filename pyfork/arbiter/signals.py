"""Every signal that the arbiter handles, declared once, and the pipe in which they arrive.

A handler does nothing: the interpreter writes the signal's number into a socket pair, and the
loop reads it there as it reads every other input. `python -m pyfork.arbiter.signals` prints
docs/signals.md.
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
    command: str  # of `pyfork.arbiter.commands`
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
    """Where signals wait for the loop, from the moment this is made until `close`.

    The wakeup fd comes first, then the handlers: whatever was installed before answers a signal
    until the very moment at which it would be kept here. After `close` the handlers stay, and
    signals have no effect: the process is on its last lines.
    """

    def __init__(self) -> None:
        self._ours, self._wakeup = socket.socketpair()
        self._ours.setblocking(False)
        self._wakeup.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for spec in SIGNALS:
            signal.signal(spec.number, _do_nothing)
        numbers = {spec.number for spec in SIGNALS}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # whatever the starter had blocked

    def fileno(self) -> int:
        """Readable when a signal waits."""
        return self._ours.fileno()

    @property
    def pending(self) -> bool:
        """Whether there is a signal to read."""
        try:
            return bool(self._ours.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def read(self) -> list[SignalSpec]:
        """The signals that came, in order; other handlers' signals are left out."""
        try:
            numbers = self._ours.recv(4096)
        except BlockingIOError:
            return []
        by_number = {int(spec.number): spec for spec in SIGNALS}
        return [by_number[number] for number in numbers if number in by_number]

    def close(self) -> None:
        """Stop listening, for good: the interpreter, on its way out, would take our handlers
        away, and the next signal would end the process with another status."""
        for spec in SIGNALS:
            signal.signal(spec.number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self.close_in_child()

    def close_in_child(self) -> None:
        """Close a forked copy; `process` has taken the handlers and the wakeup fd back."""
        self._ours.close()
        self._wakeup.close()


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """The wakeup fd has it already; but SIG_DFL or SIG_IGN would not write there."""


def in_terminal() -> bool:
    """Whether a terminal has this process in its foreground, and so sends it WINCH."""
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
            "<!-- Generated: python -m pyfork.arbiter.signals > docs/signals.md -->",
            "",
            "Send them to the arbiter: its process id is in the first line of the log and in the "
            "`--pid` file.",
            "",
            "| signal | what happens |",
            "|---|---|",
            *rows,
            "",
            "A worker is told what to do by the arbiter, and takes signals too: `TERM` has it "
            "leave gracefully, `INT` and `QUIT` quickly, and another one takes its place; `USR1` "
            "has it reopen its log files. The others have no effect there.",
            "",
        ]
    )


if __name__ == "__main__":
    print(page(), end="")
