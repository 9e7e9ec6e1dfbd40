"""The table of signals, its page, and the pipe."""

import inspect
import signal
import subprocess
import sys
from typing import Any

from pyfork.arbiter.commands.signals import SIGNALS, page
from pyfork.arbiter.commands.slots import SlotCommands
from pyfork.arbiter.commands.table import Commands
from pyfork.record import fields
from tests.harness.server import ROOT, environment


def test_the_page_is_what_the_table_says() -> None:
    assert (ROOT / "docs" / "signals.md").read_text() == page()


def test_no_signal_has_two_rows() -> None:
    numbers = [spec.number for spec in SIGNALS]
    assert len(numbers) == len(set(numbers))


def test_each_signal_runs_a_command_with_options_that_it_has() -> None:
    nothing: Any = None  # the table needs none of it
    slots = SlotCommands(**dict.fromkeys(fields(SlotCommands), nothing))
    given = [name for name in fields(Commands) if name != "table" and not name.startswith("_")]
    commands = Commands(**dict.fromkeys(given, nothing) | {"slots": slots})
    for spec in SIGNALS:
        inspect.signature(commands.table[spec.command].run).bind("SIGNAL", **spec.options)


def test_the_pipe_keeps_signals_in_order_until_they_are_read() -> None:
    """In a process of its own: handlers are for the whole process."""
    program = """
import os, select, signal
from pyfork.arbiter.commands.signals import SignalPipe
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
pipe = SignalPipe()
assert pipe.read() == []
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
    os.kill(os.getpid(), number)
    select.select([pipe], [], [])
signal.signal(signal.SIGALRM, lambda *_: None)
os.kill(os.getpid(), signal.SIGALRM)
print(*[spec.number.name for spec in pipe.read()])
pipe.close()
os.kill(os.getpid(), signal.SIGTERM)
print("alive")
"""
    before = signal.getsignal(signal.SIGHUP)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("SIGTERM SIGHUP SIGTERM\nalive\n", "")
    assert done.returncode == 0
    assert signal.getsignal(signal.SIGHUP) is before, "nothing happened to this process"
