"""Completion, pressed out of the shells themselves: each where it is installed."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import programs
from tests.harness.server import PATIENCE, ROOT

# What is typed, what must be offered, what must not.
CASES = [
    ("pyfork --dispa", {"--dispatch"}, {"--drain-delay"}),
    ("pyfork --dispatch r", {"round-robin", "reuseport"}, {"least"}),
    ("pyfork --no-server", {"--no-server-header"}, set()),
    ("pyfork rel", {"reload"}, {"status"}),
    ("pyfork run --ready-on ", {"listen", "message", "delay"}, {"run", "server.py"}),
    ("pyfork status --", {"--quiet", "--json"}, {"--bind"}),
    ("pyfork stop --qu", {"--quick"}, {"--quiet"}),
    ("pyfork completion ", {"bash", "zsh", "fish"}, {"status"}),
    ("pyfork shop.w", {"shop.wsgi"}, {"server"}),
    ("pyfork -c pyf", {"pyfork.toml"}, {"server.py"}),
    ("pyfork run se", {"server.py"}, {"serve"}),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, and the scripts."""
    place = tmp_path_factory.mktemp("project")
    (place / "shop").mkdir()
    for name in ("server.py", "pyfork.toml", "shop/__init__.py", "shop/wsgi.py"):
        (place / name).touch()
    for shell in ("bash", "zsh", "fish"):
        command = [sys.executable, "-m", "pyfork", "completion", shell]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        (place / f".{shell}").write_text(done.stdout)
    return place


def bash(line: str, place: Path) -> set[str]:
    words = " ".join(f"'{word}'" for word in re.split(" |(?<==)|(?==)", line))
    script = f"""
        source .bash
        COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _pyfork
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return set(run(["bash", "--norc", "-c", script], place).split())


def fish(line: str, place: Path) -> set[str]:
    script = f"source .fish; complete -C '{line}'"
    return {each.split("\t")[0] for each in run(["fish", "-N", "-c", script], place).splitlines()}


def run(command: list[str], place: Path) -> str:
    environ = os.environ | {"HOME": str(place)}
    done = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# What zsh is offered is written into a file on its way.
_ZSH = """
autoload -U compinit; compinit -D -u; source .zsh
compadd() {
    local -a __hits
    [[ -n ${(M)@:#-[OAD]} ]] || { builtin compadd -O __hits "$@"; print -rl -- $__hits >> offered }
    builtin compadd "$@"
}
complete-and-tell() { zle expand-or-complete; echo told >> offered }
zle -N complete-and-tell
bindkey '^I' complete-and-tell
"""


class Zsh:
    """On a terminal, since there it is that one presses TAB."""

    def __init__(self, place: Path) -> None:
        (place / ".zshrc").write_text(_ZSH)
        self._terminal, inner = pty.openpty()
        environ = {"PATH": os.environ["PATH"], "TERM": "dumb", "ZDOTDIR": str(place)}
        command = ["setsid", "--ctty", "--wait", "zsh", "-d", "-i"]
        self._process = subprocess.Popen(
            command, cwd=place, env=environ, stdin=inner, stdout=inner, stderr=inner
        )
        os.close(inner)
        self._press("echo set''tled\r")
        self._wait(lambda said: b"settled\r\n" in said)

    def __call__(self, line: str, place: Path) -> set[str]:
        offered = place / "offered"
        offered.write_text("")
        self._press(f"{line}\t")
        self._wait(lambda _: "told\n" in offered.read_text())
        kill_line = "\x15"
        self._press(kill_line)
        return {word.removesuffix("=") for word in offered.read_text().split()}

    def close(self) -> None:
        os.close(self._terminal)  # which hangs up
        self._process.wait(PATIENCE)

    def _press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def _wait(self, done: Callable[[bytes], bool]) -> None:
        """Read what it writes until that is so."""
        said, deadline = b"", time.monotonic() + PATIENCE
        while not done(said):
            assert time.monotonic() < deadline, said
            if select.select([self._terminal], [], [], 0.05)[0]:
                said += os.read(self._terminal, 65536)


@contextmanager
def opened(shell: str, place: Path) -> Iterator[Callable[[str, Path], set[str]]]:
    if shell != "zsh":
        yield {"bash": bash, "fish": fish}[shell]
        return
    zsh = Zsh(place)
    try:
        yield zsh
    finally:
        zsh.close()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_offered(shell: str, place: Path) -> None:
    programs.need(shell)
    with opened(shell, place) as complete:
        for line, offered, other in CASES:
            found = complete(line, place)
            assert offered <= found, f"{line}: {found}"
            assert not other & found, f"{line}: {found}"


def test_bash_completes_behind_an_equals_sign(place: Path) -> None:
    assert bash("pyfork --dispatch=ro", place) == {"round-robin"}
    assert "auto" in bash("pyfork --workers=", place)


def test_a_shell_that_is_unknown_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pyfork", "completion", "csh"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pyfork: error: name one shell: pyfork completion bash|zsh|fish\n"
