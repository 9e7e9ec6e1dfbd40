"""Figures for who waits at a terminal, and several runs as one."""

from collections.abc import Iterator, Sequence

from tests.bench.measure import Result, Run

WIDTH = 100


def number(value: float, digits: int) -> str:
    """As read by people: 12,345 or 1.2."""
    return f"{value:,.{digits}f}"


def table(result: Result) -> str:
    """One case in at most WIDTH columns."""
    (_, first), *more = result.shown(result.rounds)
    better = "more" if first.more else "less"
    lines = [f"{result.title} ({result.name}): {first.name} in {first.unit}, {better} is better"]
    if result.rounds:
        heads = "".join(f"  {_head(figure.name, figure.unit)}" for _, figure in more)
        lines.append(f"  {'':18}{'median':>10}{'min - max':>20}{'pyfork is':>12}{heads}")
    for peer in result.peers():
        spread, ratio = result.spread(peer), result.ratio(peer)
        low, high = (number(value, first.digits) for value in (spread.low, spread.high))
        others = "".join(
            f"  {number(result.value(peer, place), figure.digits):>{_room(figure.name)}}"
            for place, figure in more
        )
        lines.append(
            f"  {peer:18}{number(spread.median, first.digits):>10}{f'{low} - {high}':>20}"
            f"{times(ratio):>12}{others}".rstrip()
        )
    lines += [f"  {peer:18}{reason}"[:WIDTH] for peer, reason in reasons(result)]
    return "\n".join(lines)


def _head(name: str, unit: str) -> str:
    """Of a column."""
    return f"{f'{name} {unit}'.strip():>{_room(name)}}"


def _room(name: str) -> int:
    """The width of a figure's column."""
    return max(8, len(name))


def times(ratio: float | None) -> str:
    """A ratio."""
    return "" if ratio is None else f"{ratio:.2f} x"


def reasons(result: Result) -> Iterator[tuple[str, str]]:
    """Who could not be measured, or not always, and why."""
    yield from result.lacks.items()
    for peer, failures in result.failures.items():
        some = f"but for {len(failures)} of its rounds: " if peer in result.rounds else ""
        yield peer, some + failures[-1]


def merged(runs: Sequence[Run]) -> Run:
    """One of several: of a case that more than one has, the last counts."""
    *_, last = runs
    results = {result.name: result for run in runs for result in run.results}
    versions = {name: version for run in runs for name, version in run.versions.items()}
    command = " && ".join(dict.fromkeys(run.command for run in runs))
    return Run(
        **{
            **vars(last),
            "command": command,
            "versions": versions,
            "results": list(results.values()),
        }
    )
