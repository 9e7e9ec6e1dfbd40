"""docs/states.md, made from the tables of the code: ``python -m tests.docs.states``."""

from collections.abc import Iterator

from pyfork.http.connection.deadlines import LINGER, RATES, SETTINGS
from pyfork.http.connection.phase import WAITS_FOR, ConnectionPhase
from pyfork.http.connection.sweep import AT_LIMIT
from pyfork.supervisor.state import TRANSITIONS, WorkerState

_HEAD = """\
# States

<!-- Generated: python -m tests docs -->

## A worker

The supervisor's view, from fork to exit: `TRANSITIONS` in `pyfork/supervisor/state.py`.
`pyfork status` calls the third state `draining`.

```mermaid
stateDiagram-v2"""
_MIDDLE = """\
```

## A connection

Once a second each connection is asked for its phase. The limit runs while the phase and the
request stay the same; where a rate is named, that many bytes a second begin it anew.
`phase_of` and `AT_LIMIT` are in `pyfork/http/connection/sweep.py`, the limits in
`pyfork/http/connection/deadlines.py`.

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
    yield _MIDDLE
    for phase in ConnectionPhase:
        limit, end = _limit(phase), "-"
        if limit != "none":
            words = AT_LIMIT[phase].__doc__ or ""
            end = f"{words[:1].lower()}{words[1:].removesuffix('.')}"
        yield f"| {phase.name} | {WAITS_FOR[phase]} | {limit} | {end} |"


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
