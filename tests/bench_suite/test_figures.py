"""Statistics, tables, the page and the drawing, of rounds that are given."""

import json
from xml.etree import ElementTree

import pytest

from tests.bench import plot, report
from tests.bench.cases.case import P99, RATE, Bench, Case, Figure
from tests.bench.measure import Result, Run, Spread, measure
from tests.bench.peers import PEERS, Peer
from tests.bench.running import Cores, Unfit

SVG = "{http://www.w3.org/2000/svg}"
PEER = next(peer for peer in PEERS if peer.name == "pyfork-wsgi")


@pytest.fixture
def result() -> Result:
    """Three WSGI peers and one ASGI peer, of three rounds, and one that failed."""
    return Result(
        "bare",
        "bare GET <&>",
        [RATE, P99],
        {
            "granian-wsgi": [[20_000, 4], [40_000, 2], [30_000, 3]],
            "pyfork-wsgi": [[45_000, 1], [44_000, 1], [90_000, 9]],
            "waitress": [[9_000, 12], [8_000, 11], [8_500, 13]],
            "pyfork-asgi": [[50_000, 1], [50_000, 1], [50_000, 1]],
        },
        {"hypercorn": ["it does not start"], "waitress": ["once"]},
    )


@pytest.fixture
def run(result: Result) -> Run:
    versions = {"uvicorn": "uvicorn 1, uvloop 2", "hypercorn": "hypercorn 3, uvloop 2"}
    return Run(
        "python -m tests.bench", "2026-01-02", "a machine", "CPython", 3, 4, versions, [result]
    )


def test_a_spread_is_median_lowest_and_highest(result: Result) -> None:
    assert result.spread("granian-wsgi") == Spread(30_000, 20_000, 40_000)
    assert result.spread("pyfork-wsgi", 1) == Spread(1, 1, 9)


def test_a_ratio_is_to_pyfork_of_the_same_interface(result: Result) -> None:
    assert result.ratio("granian-wsgi") == 1.5
    assert result.ratio("pyfork-wsgi") is None  # to itself
    del result.rounds["pyfork-wsgi"]
    assert result.ratio("granian-wsgi") is None


def test_a_ratio_to_nothing_is_none(result: Result) -> None:
    result.rounds["granian-wsgi"] = [[0.0, 0.0]]
    assert result.ratio("granian-wsgi") is None


def test_the_best_comes_first(result: Result) -> None:
    peers = ["pyfork-wsgi", "granian-wsgi", "waitress", "pyfork-asgi"]
    assert result.peers() == peers
    result.figures[0] = Figure("time", "ms", more=False)
    assert result.peers() == [*reversed(peers[:3]), "pyfork-asgi"]


def test_a_table_fits_and_tells_all(result: Result) -> None:
    result.failures["uvicorn"] = ["x" * 200]
    table = report.table(result)
    assert max(map(len, table.splitlines())) <= report.WIDTH
    row = next(line for line in table.splitlines() if "granian" in line)
    assert row.split() == ["granian-wsgi", "30,000", "20,000", "-", "40,000", "1.50", "x", "3.0"]
    assert "hypercorn         it does not start" in table
    assert "waitress          but for 1 of its rounds: once" in table


def test_a_page_has_a_table_for_each_interface(run: Run) -> None:
    page = report.page(run, "plot.svg")
    assert "| WSGI | pyfork-wsgi | granian-wsgi | waitress |" in page
    assert "| bare GET <&>, requests/s | 45,000 | 30,000 (1.50) | 8,500 (5.29) |" in page
    assert "| &nbsp; p99, ms | 1.0 | 3.0 | 12.0 |" in page
    assert "| ASGI | pyfork-asgi |" in page
    assert "(plot.svg)" in page
    assert "Versions: hypercorn 3, uvicorn 1, uvloop 2." in page


def test_only_what_is_between_the_markers_is_written() -> None:
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.write_between(text, "new") == text.replace("old", "new")
    assert report.has_markers(text)
    assert not report.has_markers(text.replace(report.END, ""))


def test_a_run_survives_json_and_is_merged_case_by_case(run: Run) -> None:
    again = Run.from_dict(json.loads(json.dumps(run.as_dict())))
    assert again == run
    again.command = "python -m tests.bench --cases other"
    again.results = [Result("other", "Other", [RATE]), Result("bare", "Bare", [RATE])]
    merged = report.merged([run, again])
    assert [(each.name, each.title) for each in merged.results] == [
        ("bare", "Bare"),
        ("other", "Other"),
    ]
    assert merged.command == f"{run.command} && {again.command}"


def test_a_drawing_has_a_bar_for_each_peer_within_its_panel(result: Result) -> None:
    drawing = ElementTree.fromstring(plot.draw([result, Result("none", "nobody", [RATE]), result]))
    panels = drawing.findall(f"{SVG}g")
    assert len(panels) == 2  # what has no figures is not drawn
    bars = panels[0].findall(f"{SVG}rect")
    assert [bar.get("class") for bar in bars] == ["own", "other", "other", "own"]
    widths = [float(bar.get("width", 0)) for bar in bars]
    assert widths[0] / widths[1] == pytest.approx(1.5, rel=0.01)
    height = float(drawing.get("height", 0))
    assert all(plot.NAME + width <= plot.WIDTH / 2 for width in widths)
    assert all(float(bar.get("y", 0)) + plot.BAR <= height for bar in bars)


def test_a_drawing_of_zeros_is_possible() -> None:
    plot.draw([Result("lost", "lost", [RATE], {"uvicorn": [[0.0]]})])


def test_the_last_core_is_for_the_load() -> None:
    assert Cores.divide({2, 0, 1}) == Cores(
        frozenset({0}), frozenset({0, 1}), frozenset({0, 1, 2}), 2
    )
    with pytest.raises(Unfit, match="two cores"):
        Cores.divide({3})


def test_peers_take_turns_and_who_fails_twice_is_left_out() -> None:
    asked: list[str] = []

    def ask(bench: Bench, peer: Peer) -> list[float]:
        asked.append(peer.name)
        if peer.name == "b":
            raise Unfit("no")
        return [1.0]

    peers = [Peer(name, "wsgi", lambda start: (), "pyfork") for name in "abc"]
    case = Case("case", "a case", (RATE,), ask)
    bench = Bench(Cores.divide({0, 1}))
    found = measure(case, peers, bench, 3, lambda line: None)
    assert asked == [*"abc", *"bca", *"ca"]
    assert found.rounds == {"a": [[1.0]] * 3, "c": [[1.0]] * 3}
    assert found.failures == {"b": ["no", "no"]}


def test_who_is_not_installed_is_named() -> None:
    peer = Peer("a", "wsgi", lambda start: (), "no-such-package")
    bench = Bench(Cores.divide({0, 1}))
    case = Case("case", "a case", (RATE,), lambda bench, peer: [1.0])
    found = measure(case, [peer], bench, 1, lambda line: None)
    assert found.failures == {"a": ["not installed: no-such-package"]}
    assert not found.rounds


def test_a_case_asks_those_that_it_fits() -> None:
    case = Case("case", "a case", (RATE,), lambda bench, peer: [1.0], "asgi", "websocket")
    fitting = {peer.name for peer in PEERS if case.fits(peer)}
    assert "uvicorn" in fitting
    assert not {"pyfork-wsgi", "bjoern"} & fitting
    assert Case("case", "a case", (RATE,), lambda bench, peer: [1.0]).fits(PEER)
