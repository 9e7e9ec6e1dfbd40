"""Figures for pages: what stands between markers in docs/performance.md and in README.md."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import plot
from tests.bench.measure import INTERFACES, Result, Run
from tests.bench.peers import REFERENCES
from tests.bench.report import number, reasons
from tests.bench.running import Unfit

WHOLE, SHORT = "benchmarks", "benchmarks in short"

BELOW = "&nbsp; "  # before the name of a figure that is not its case's first

# Cases of which every server has a row, and those of the short table.
OF_ALL = ("varied", "bare", "browser")
IN_SHORT = ("varied", "bare", "browser", "post", "fresh")
SHORT_PEERS = {
    "pyfork-wsgi": "pyfork WSGI",
    "granian-wsgi": "granian WSGI",
    "bjoern": "bjoern",
    "gunicorn-gthread": "gunicorn gthread",
    "pyfork-asgi": "pyfork ASGI",
    "granian-asgi": "granian ASGI",
    "uvicorn": "uvicorn",
    "gunicorn-asgi": "gunicorn asgi",
}


def check(path: Path) -> None:
    """Raises Unfit if there is nowhere to write between."""
    text = path.read_text()
    if not any(_has(text, name) for name in (WHOLE, SHORT)):
        raise Unfit(f"{path} has no {_begin(WHOLE)} and {_end(WHOLE)} to write between")


def write(path: Path, run: Run) -> None:
    """What the page has markers for; beside a whole one the drawing, by the same name."""
    text = path.read_text()
    if _has(text, WHOLE):
        drawing = path.with_suffix(".svg")
        drawing.write_text(plot.draw(run.results))
        text = between(text, WHOLE, whole(run, drawing.name))
    if _has(text, SHORT):
        text = between(text, SHORT, short(run))
    path.write_text(text)


def between(text: str, name: str, content: str) -> str:
    """A page with ``content`` between the markers of this name, which it must have."""
    before, _, rest = text.partition(_begin(name))
    after = rest.partition(_end(name))[2]
    return f"{before}{_begin(name)}\n{content}\n{_end(name)}{after}"


def whole(run: Run, drawing: str) -> str:
    """Tables of everything; ``drawing`` is its address."""
    parts = [
        f"Measured on {run.date}, on this machine: {run.machine}. The interpreter: {run.python}.\n"
        f"Medians, rounds interleaved ({run.rounds} of {run.seconds} s), by `{run.command}`.",
        f"![pyfork and others, case by case]({drawing})",
    ]
    for interface in REFERENCES:
        tables = (
            _by_peer(run, interface),
            _by_case([each for each in run.results if _is_rate(each)], interface, "requests/s"),
            _by_case([each for each in run.results if not _is_rate(each)], interface, "the rest"),
        )
        parts += filter(None, ("\n".join(table) for table in tables))
    if missing := "\n".join(_missing(run)):
        parts.append(f"Not measured:\n\n{missing}")
    versions = sorted(set(", ".join(run.versions.values()).split(", ")))
    parts.append(f"Versions: {', '.join(versions)}.")
    return "\n\n".join(parts)


def short(run: Run) -> str:
    """The rates of a few cases and servers, rounded: the whole table has the rest."""
    results = [result for result in run.results if result.name in IN_SHORT]
    peers = [peer for peer in SHORT_PEERS if any(peer in result.rounds for result in results)]
    rows = [[result.title, *(_rounded(result, peer) for peer in peers)] for result in results]
    return "\n".join(_table(["", *(SHORT_PEERS[peer] for peer in peers)], rows))


def _rounded(result: Result, peer: str) -> str:
    return number(round(result.value(peer), -2), 0) if peer in result.rounds else ""


def _is_rate(result: Result) -> bool:
    return result.figures[0].unit == "requests/s"


def _by_peer(run: Run, interface: str) -> Iterator[str]:
    """A row for each peer, the best first: of the cases that ask them all."""
    results = [each for each in run.results if each.name in OF_ALL]
    own = (peer for each in results for peer in each.peers() if INTERFACES[peer] == interface)
    order = list(dict.fromkeys(own))
    heads = [
        _title(each, place).removeprefix(BELOW)
        for each in results
        for place, _ in each.shown(order)
    ]
    rows = [
        [peer, *(_cell(each, peer, place) for each in results for place, _ in each.shown(order))]
        for peer in order
    ]
    return _table([f"{interface.upper()}, every server", *heads], rows)


def _by_case(results: Sequence[Result], interface: str, what: str) -> Iterator[str]:
    """A row for each figure of the other cases, a column for each peer that has any."""
    results = [each for each in results if each.name not in OF_ALL]
    peers = [
        name
        for name, own in INTERFACES.items()
        if own == interface and any(name in each.rounds for each in results)
    ]
    rows = [
        [_title(each, place), *(_cell(each, peer, place) for peer in peers)]
        for each in results
        if any(peer in each.rounds for peer in peers)
        for place, _ in each.shown(peers)
    ]
    return _table([f"{interface.upper()}, {what}", *peers], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """In Markdown; nothing without rows."""
    if rows:
        yield f"| {' | '.join(heads)} |"
        yield "|---" + "|---:" * (len(heads) - 1) + "|"
        yield from (f"| {' | '.join(row)} |" for row in rows)


def _title(result: Result, place: int) -> str:
    """Of a figure; those after a case's first are below or beside it."""
    figure = result.figures[place]
    name = result.title if place == 0 else f"{BELOW}{figure.name}"
    return name + (figure.unit and f", {figure.unit}") + (figure.total * ", all rounds")


def _cell(result: Result, peer: str, place: int) -> str:
    """A figure, and how many times it pyfork has; - for one that could not be had."""
    if peer not in result.rounds:
        return "-" if peer in {*result.lacks, *result.failures} else ""
    text = number(result.value(peer, place), result.figures[place].digits)
    ratio = result.ratio(peer) if place == 0 else None
    return text if ratio is None else f"{text} ({ratio:.2f})"


def _missing(run: Run) -> Iterator[str]:
    """The reasons, a line for each case."""
    for result in run.results:
        if told := "; ".join(f"{peer}: {reason}" for peer, reason in reasons(result)):
            yield f"- {result.title}: {told}"


def _has(text: str, name: str) -> bool:
    return _end(name) in text.partition(_begin(name))[2]


def _begin(name: str) -> str:
    return f"<!-- {name}: begin -->"


def _end(name: str) -> str:
    return f"<!-- {name}: end -->"
