"""docs/states.md, made from the tables of the code: ``python -m tests.docs.states``."""

from collections.abc import Iterator
from enum import Enum

from pyfork.arbiter.upgrade import state as upgrade
from pyfork.http.connection.timeouts.deadlines import LINGER, RATES, SETTINGS
from pyfork.http.connection.timeouts.phase import WAITS_FOR, ConnectionPhase
from pyfork.http.connection.timeouts.sweep import AT_LIMIT
from pyfork.supervisor.state import TRANSITIONS, WorkerState

_HEAD = """\
# States

<!-- Generated: python -m tests docs -->

## A worker

The supervisor's view, from fork to exit: `TRANSITIONS` in `pyfork/supervisor/state.py`.
`pyfork status` calls the third state `draining`.

```mermaid
stateDiagram-v2"""
_UPGRADE = """\
```

## An upgrade

The old arbiter's view: `TRANSITIONS` in `pyfork/arbiter/upgrade/state.py`. Each arrow has its event
and, after the slash, the actions of the arbiter.

```mermaid
stateDiagram-v2"""
_CONNECTION = """\
```

## A connection

Once a second the sweep asks each connection for its phase. The limit runs while the phase and the
request stay the same. Where the table has a rate, that many bytes a second begin the limit anew.
`phase_of` and `AT_LIMIT` are in `pyfork/http/connection/timeouts/sweep.py`, the limits in
`pyfork/http/connection/timeouts/deadlines.py`.

| phase | it waits for | limit | at the limit |
|---|---|---|---|"""


def page() -> str:
    """The page, with a line end at its end."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield f"    [*] --> {WorkerState.BOOTING.value}: Spawn"
    for state, following in TRANSITIONS.items():
        for then, why in following.items():
            yield f"    {state.value} --> {then.value}: {why}"
        yield f"    {state.value} --> [*]: Exited"
    yield _UPGRADE
    arrows: dict[tuple[str, str, str], list[str]] = {}  # events that do the same share one
    for (stage, event), (then, actions) in upgrade.TRANSITIONS.items():
        done = ", ".join(_words(action) for action in actions)
        arrows.setdefault((_stage(stage), _stage(then), done), []).append(_words(event))
    for (before, after, done), events in arrows.items():
        label = " or ".join(events) + (f" / {done}" if done else "")
        yield f"    {before} --> {after}: {label}"
    yield _CONNECTION
    for phase in ConnectionPhase:
        limit, end = _limit(phase), "-"
        if limit != "none":
            words = AT_LIMIT[phase].__doc__ or ""
            end = f"{words[:1].lower()}{words[1:].removesuffix('.')}"
        yield f"| {phase.name} | {WAITS_FOR[phase]} | {limit} | {end} |"


def _words(member: Enum) -> str:
    return member.name.lower().replace("_", " ")


def _stage(stage: upgrade.UpgradeStage) -> str:
    return "[*]" if stage is upgrade.UpgradeStage.NONE else stage.name


def _limit(phase: ConnectionPhase) -> str:
    if phase is ConnectionPhase.LINGER:
        return f"{LINGER:g} s"
    if phase not in SETTINGS:
        return "none"
    limit = f"[{_flag(SETTINGS[phase])}](settings.md#{SETTINGS[phase]})"
    return f"{limit}, `{_flag(RATES[phase])}`" if phase in RATES else limit


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


if __name__ == "__main__":
    print(page(), end="")
