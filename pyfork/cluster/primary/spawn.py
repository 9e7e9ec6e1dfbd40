"""How the primary starts a worker: the same script in a fresh interpreter.

A plain fork would continue in the middle of a program that may have threads, loops and
connections. As in Node, each worker begins at the first line.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyfork
from pyfork.cluster.script.run_script import MODULE
from pyfork.record import record

# -c puts the current directory first on the path; the script's directory replaces it later. The
# directory of this package comes last, for a program that found it by changing the path.
_START = (
    "import sys; sys.flags.safe_path or sys.path.__delitem__(0); sys.path.append({root!r}); "
    "from pyfork.cluster.script.spawned import main; main({start!r})"
)


@record(kw_only=True)
class PrimarySettings:
    """The settings of `setup_primary`: how later workers are started."""

    exec: str  # a script, or "-m MODULE"
    args: tuple[str, ...]
    exec_args: tuple[str, ...]  # of the interpreter
    env: dict[str, str]  # added to the environment of this process
    cwd: str | None = None
    silent: bool = False  # stdout and stderr are pipes: worker.process.stdout


@record(kw_only=True)
class SpawnArgs:
    """The arguments of a worker before it can read its channel."""

    number: int
    channel: int  # descriptor
    board: int  # descriptor of the scoreboard
    lines: int
    index: int  # of its row
    dispatch: str


def as_started(exec: str) -> PrimarySettings:
    """Return settings that start ``exec`` as this process was started."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return PrimarySettings(exec=exec, args=tuple(sys.argv[1:]), exec_args=tuple(flags), env={})


def changed(
    before: PrimarySettings,
    *,
    args: Sequence[str] | None = None,
    exec_args: Sequence[str] | None = None,
    env: Mapping[str, object] | None = None,
    **others: Any,
) -> PrimarySettings:
    """Return ``before`` with the given settings replaced; None means not given."""
    given = {
        "args": None if args is None else tuple(args),
        "exec_args": None if exec_args is None else tuple(exec_args),
        "env": None if env is None else {name: str(value) for name, value in env.items()},
        **others,
    }
    kept = {name: getattr(before, name) for name in PrimarySettings._fields}  # type: ignore[attr-defined]
    return PrimarySettings(
        **kept | {name: value for name, value in given.items() if value is not None}
    )


def this_script(main: ModuleType) -> str:
    """Return the script that runs in this process; empty at a prompt."""
    path: str | None = getattr(main, "__file__", None)
    if main.__spec__ is not None:
        return MODULE + main.__spec__.name.removesuffix(".__main__")
    return os.path.abspath(path) if path else ""


def spawn(
    how: PrimarySettings, start: SpawnArgs, env: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start a worker. Raises OSError."""
    root = str(Path(pyfork.__file__).parents[1])
    fields = tuple(getattr(start, name) for name in start._fields)  # type: ignore[attr-defined]
    command: Sequence[str] = [
        sys.executable,
        *how.exec_args,
        "-c",
        _START.format(root=root, start=fields),
        how.exec,
        *how.args,
    ]
    pipe: Any = subprocess.PIPE if how.silent else None
    return subprocess.Popen(
        command,
        pass_fds=(start.channel, start.board),
        env={**os.environ, **how.env, **env},
        cwd=how.cwd,
        stdout=pipe,
        stderr=pipe,
    )
