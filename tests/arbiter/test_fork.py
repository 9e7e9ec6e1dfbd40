"""The fork, in a process of its own: the state of a child, and its exits."""

import subprocess
import sys

import pytest

from pyfork.arbiter.workers.fork import describe_exit
from tests.harness.server import environment

PROLOGUE = """
import atexit, logging, os, signal, sys
from pyfork.arbiter.workers.fork import describe_exit, fork
from pyfork.arbiter.commands.signals import SignalPipe

pipe = SignalPipe()
parent = os.getpid()
atexit.register(lambda: print("exit function of", "parent" if os.getpid() == parent else "child"))

def outcome(run, closers=()):
    _, status = os.waitpid(fork(run, *closers), 0)
    return describe_exit(status)
"""


def output_of(program: str) -> tuple[list[str], str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROLOGUE + program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines.pop() == "exit function of parent"
    return [line for line in lines if line != "exit function of child"], done.stderr


def test_a_signal_during_the_fork_is_not_lost() -> None:
    lines, _ = output_of(
        """
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
print(outcome(lambda: 0))
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    )
    assert lines == ["killed by SIGTERM", "set()"]


def test_the_state_of_a_child_before_it_runs() -> None:
    lines, _ = output_of(
        """
def look():
    default = signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    print(default, signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.set_wakeup_fd(-1))
    try:
        os.fstat(fd)
    except OSError:
        return 42
fd = os.dup(1)
print("a line in the buffer", end=" ")
print(outcome(look, [pipe.close_in_child, lambda: os.close(fd)]))
"""
    )
    assert lines == ["a line in the buffer True set() -1", "exit status 42"]


@pytest.mark.parametrize(
    ("run", "ending", "told"),
    [
        ("lambda: 3", "exit status 3", ""),
        ("sys.exit", "exit status 0", ""),
        ("lambda: sys.exit(7)", "exit status 7", ""),
        ("lambda: sys.exit('gone home')", "exit status 1", "gone home"),
        ("lambda: 1 / 0", "exit status 1", "ZeroDivisionError"),
        ("lambda: signal.raise_signal(signal.SIGINT)", "killed by SIGINT", ""),
        ("lambda: print('left in the buffer') or 0", "left in the buffer", ""),
        ("lambda: atexit.register(print, 'own') and 0", "own", ""),
    ],
)
def test_how_a_child_ends(run: str, ending: str, told: str) -> None:
    lines, errors = output_of(f"print(outcome({run}))")
    assert lines[0].startswith(ending)
    assert told in errors


def test_endings_have_names() -> None:
    assert describe_exit(0) == "exit status 0"
    assert describe_exit(3 << 8) == "exit status 3"
    assert describe_exit(9) == "killed by SIGKILL"
    assert describe_exit(63) == "killed by signal 63"
