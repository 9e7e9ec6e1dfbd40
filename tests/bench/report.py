"""Figures for people: the tables of a terminal, and those of a page."""

from collections.abc import Iterator, Sequence

from tests.bench.measure import INTERFACES, Result, Run
from tests.bench.peers import REFERENCES

WIDTH = 100
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def number(value: float, digits: int) -> str:
    """As read by people: 12,345 or 1.2."""
    return f"{value:,.{digits}f}"


def table(result: Result) -> str:
    """One case in at most WIDTH columns."""
    first, *more = result.figures
    better = "more" if first.more else "less"
    lines = [f"{result.title} ({result.name}): {first.name} in {first.unit}, {better} is better"]
    if result.rounds:
        heads = "".join(f"{f'{figure.name} {figure.unit}'.strip():>18}" for figure in more)
        lines.append(f"  {'':18}{'median':>10}{'min - max':>20}{'pyfork is':>12}{heads}")
    for peer in result.peers():
        spread, ratio = result.spread(peer), result.ratio(peer)
        low, high = (number(value, first.digits) for value in (spread.low, spread.high))
        others = "".join(
            f"{number(result.spread(peer, place).median, figure.digits):>18}"
            for place, figure in enumerate(more, 1)
        )
        lines.append(
            f"  {peer:18}{number(spread.median, first.digits):>10}{f'{low} - {high}':>20}"
            f"{times(ratio):>12}{others}".rstrip()
        )
    lines += [f"  {peer:18}{reason}"[:WIDTH] for peer, reason in failures(result)]
    return "\n".join(lines)


def times(ratio: float | None) -> str:
    """A ratio."""
    return "" if ratio is None else f"{ratio:.2f} x"


def page(run: Run, plot: str) -> str:
    """What stands between the markers of a page; ``plot`` is the drawing's address."""
    parts = [
        f"Measured on {run.date}: {run.machine}, {run.python}.\n"
        f"Medians, rounds interleaved ({run.rounds} of {run.seconds} s), by `{run.command}`.",
        f"![Requests a second, pyfork and others]({plot})",
    ]
    parts += filter(None, ("\n".join(_rows(run, interface)) for interface in REFERENCES))
    reasons = [
        f"- {each.title}, {peer}: {reason}"
        for each in run.results
        for peer, reason in failures(each)
    ]
    if reasons:
        parts.append("Not measured:\n\n" + "\n".join(reasons))
    versions = sorted(set(", ".join(run.versions.values()).split(", ")))
    parts.append(f"Versions: {', '.join(versions)}.")
    return "\n\n".join(parts)


def _rows(run: Run, interface: str) -> Iterator[str]:
    """A table: a row for each figure, a column for each peer."""
    peers = [
        name
        for name, own in INTERFACES.items()
        if own == interface and any(name in result.rounds for result in run.results)
    ]
    if not peers:
        return
    yield "| " + " | ".join([interface.upper(), *peers]) + " |"
    yield "|---" * (1 + len(peers)) + "|"
    for result in run.results:
        if not any(peer in result.rounds for peer in peers):
            continue
        for place, figure in enumerate(result.figures):
            cells = [_cell(result, peer, place) for peer in peers]
            title = result.title if place == 0 else "&nbsp; " + figure.name
            unit = figure.unit and f", {figure.unit}"
            yield "| " + " | ".join([title + unit, *cells]) + " |"


def _cell(result: Result, peer: str, place: int) -> str:
    if peer not in result.rounds:
        return ""
    text = number(result.spread(peer, place).median, result.figures[place].digits)
    ratio = result.ratio(peer) if place == 0 else None
    return text if ratio is None else f"{text} ({ratio:.2f})"


def failures(result: Result) -> Iterator[tuple[str, str]]:
    """Who could not be measured, or not always, and why."""
    for peer, reasons in result.failures.items():
        some = f"but for {len(reasons)} of its rounds: " if peer in result.rounds else ""
        yield peer, some + reasons[-1]


def write_between(text: str, content: str) -> str:
    """A page with ``content`` between its markers, which it must have."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{content}\n{END}{rest.partition(END)[2]}"


def has_markers(text: str) -> bool:
    """Whether a page can be written between."""
    return END in text.partition(BEGIN)[2]


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
