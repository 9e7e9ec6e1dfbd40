"""A drawing of a run: a panel for each case, a bar for each peer. SVG, written by hand.

It has no background and takes its colours from the reader's scheme, light or dark.
"""

from collections.abc import Iterator, Sequence
from html import escape

from tests.bench.measure import INTERFACES, Result
from tests.bench.report import number

WIDTH = 880  # of the whole, in pixels
COLUMNS = 2
GAP = 40  # between panels
TITLE = 26  # height of a panel's title
ROW = 18  # height of a bar with the room around it
BAR = 12
APART = 8  # room between the interfaces
NAME = 118  # width of the names
VALUE = 66  # width of the numbers

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .name { text-anchor: end }
.own { fill: #0b7a5c } .other { fill: #a3abb5 } .spread { stroke: #57606a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .own { fill: #3fb68b } .other { fill: #59626d } .spread { stroke: #c9d1d9 }
}
"""


def draw(results: Sequence[Result]) -> str:
    """The drawing of those that have figures."""
    shown = [result for result in results if result.rounds]
    width = (WIDTH - GAP * (COLUMNS - 1)) / COLUMNS
    y, panels = 0.0, []
    for first in range(0, len(shown), COLUMNS):
        row = shown[first : first + COLUMNS]
        for column, result in enumerate(row):
            x = column * (width + GAP)
            panels.append(f'<g transform="translate({x:.0f} {y:.0f})">')
            panels += panel(result, width)
            panels.append("</g>")
        y += max(TITLE + ROW * len(result.rounds) + APART for result in row) + GAP / 2
    size = f'width="{WIDTH}" height="{y:.0f}" viewBox="0 0 {WIDTH} {y:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, f"<style>{STYLE}</style>", *panels, "</svg>", ""])


def panel(result: Result, width: float) -> Iterator[str]:
    """One case: bars as long as medians, with a line from the lowest to the highest round."""
    figure = result.figures[0]
    better = "" if figure.more else " (less is better)"
    title = escape(f"{result.title}, {figure.unit}{better}")
    yield f'<text class="title" x="0" y="14">{title}</text>'
    spreads = {peer: result.spread(peer) for peer in result.peers()}
    top = max(spread.high for spread in spreads.values()) or 1.0
    scale = (width - NAME - VALUE) / top
    first = INTERFACES[next(iter(spreads))]
    for place, (peer, spread) in enumerate(spreads.items()):
        y = TITLE + place * ROW + APART * (INTERFACES[peer] != first)
        middle, base = y + BAR / 2, y + BAR - 2
        kind = "own" if peer.startswith("pyfork") else "other"
        length, low, high = (NAME + v * scale for v in (spread.median, spread.low, spread.high))
        yield f'<text class="name" x="{NAME - 8}" y="{base}">{escape(peer)}</text>'
        yield (
            f'<rect class="{kind}" x="{NAME}" y="{y}" width="{length - NAME:.1f}" height="{BAR}"/>'
        )
        yield f'<path class="spread" d="M{low:.1f} {middle}H{high:.1f}"/>'
        text = number(spread.median, figure.digits)
        yield f'<text x="{max(length, high) + 6:.1f}" y="{base}">{text}</text>'
