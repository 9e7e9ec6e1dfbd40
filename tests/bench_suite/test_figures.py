"""Statistics, tables, the page and the drawing, of rounds that are given."""

import json
import platform
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import page, plot, report
from tests.bench.cases import CASES
from tests.bench.cases.case import LOST, P99, RATE, THROUGHPUT, Bench, Case, Figure
from tests.bench.machine import optimised, python
from tests.bench.measure import Result, Run, Spread, measure
from tests.bench.peers import LACKS, PEERS, Peer, Start, Words
from tests.bench.running import Cores, Unfit

SVG = "{http://www.w3.org/2000/svg}"
BENCH = Bench(Cores.divide({0, 1}))


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


def test_what_is_rare_is_shown_where_it_is_not_zero_and_totals_are_summed() -> None:
    rounds = {"pyfork-wsgi": [[9.0, 1.0, 0.0], [8.0, 1.0, 0.0]], "bjoern": [[7.0, 1.0, 0.0]]}
    result = Result("bare", "bare GET", [RATE, P99, LOST], rounds)
    assert "socket errors" not in report.table(result)
    rounds["pyfork-wsgi"] = [[9.0, 1.0, 0.0], [8.0, 1.0, 3.0], [9.0, 1.0, 2.0]]
    assert result.value("pyfork-wsgi", 2) == 5
    assert "socket errors" in report.table(result)
    assert result.shown(["bjoern"]) == [(0, RATE), (1, P99)]


def test_a_page_has_tables_for_each_interface(run: Run) -> None:
    run.results.append(Result("log", "log", [RATE], {"waitress": [[5.0]]}, {}, {"bjoern": "none"}))
    run.results.append(Result("file", "file", [THROUGHPUT], {"waitress": [[7.0]]}))
    content = page.whole(run, "plot.svg")
    assert "| WSGI, every server | bare GET <&>, requests/s | p99, ms |" in content
    assert content.index("| pyfork-wsgi | 45,000 | 1.0 |") < content.index("| granian-wsgi |")
    assert "| granian-wsgi | 30,000 (1.50) | 3.0 |" in content
    assert "| WSGI, requests/s | waitress |\n|---|---:|\n| log, requests/s | 5 |" in content
    assert "| WSGI, the rest | waitress |\n|---|---:|\n| file, MiB/s | 7 |" in content
    assert "| ASGI, every server |" in content
    assert "ASGI, the rest" not in content
    assert "- bare GET <&>: hypercorn: it does not start; waitress: but for 1 of" in content
    assert "- log: bjoern: none" in content
    assert "(plot.svg)" in content
    assert "Versions: hypercorn 3, uvicorn 1, uvloop 2." in content


def test_who_could_not_be_measured_has_a_dash_and_who_was_not_asked_nothing() -> None:
    rounds = {"pyfork-wsgi": [[5.0]]}
    log = Result("log", "log", [RATE], rounds, {}, {"bjoern": "it has no access log"})
    more = Result("json", "JSON", [RATE], {"bjoern": [[1.0]], "waitress": [[2.0]]})
    run = Run("", "", "", "", 1, 1, {"bjoern": "bjoern 1"}, [log, more])
    assert "| log, requests/s | 5 | - |  |" in page.whole(run, "")


def test_only_what_is_between_the_markers_is_written(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "page.md"
    marked = "<!-- benchmarks in short: begin -->\nold\n<!-- benchmarks in short: end -->"
    path.write_text(f"before\n{marked}\nafter\n")
    page.check(path)
    page.write(path, run)
    text = path.read_text()
    assert text.startswith("before\n<!--")
    assert text.endswith("-->\nafter\n")
    assert "old" not in text
    assert "|  | pyfork WSGI | granian WSGI | pyfork ASGI |" in text
    assert "| bare GET <&> | 45,000 | 30,000 | 50,000 |" in text
    assert not path.with_suffix(".svg").exists()
    whole = "<!-- benchmarks: begin -->\n<!-- benchmarks: end -->"
    path.write_text(f"{marked}\n{whole}\n")
    page.write(path, run)
    assert path.read_text().count("| pyfork WSGI |") == 1
    assert "| WSGI, every server |" in path.read_text()
    assert path.with_suffix(".svg").exists()
    path.write_text("nothing")
    with pytest.raises(Unfit, match="to write between"):
        page.check(path)


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


def nobody(start: Start) -> Words:
    """The command of a server that is never started."""
    return ()


def asked_in(case: Case, peers: list[Peer], run: Run) -> None:
    measure(run, [(case, peers)], BENCH, lambda line: None, lambda run: None)


@pytest.fixture
def fresh() -> Run:
    """Three rounds that are to come."""
    return Run("python -m tests.bench", "2026-01-02", "a machine", "CPython", 3, 2, {})


def test_peers_take_turns_and_who_fails_twice_is_left_out(fresh: Run) -> None:
    asked: list[str] = []

    def ask(bench: Bench, peer: Peer) -> list[float]:
        asked.append(peer.name)
        if peer.name == "b":
            raise Unfit("no")
        return [1.0]

    peers = [Peer(name, "wsgi", nobody, "pyfork") for name in "abc"]
    asked_in(Case("case", "a case", (RATE,), ask), peers, fresh)
    assert asked == [*"abc", *"bca", *"ca"]
    (found,) = fresh.results
    assert found.rounds == {"a": [[1.0]] * 3, "c": [[1.0]] * 3}
    assert found.failures == {"b": ["no", "no"]}


def test_a_round_has_every_case() -> None:
    asked: list[str] = []

    def case(name: str) -> Case:
        def ask(bench: Bench, peer: Peer) -> list[float]:
            asked.append(name + peer.name)
            return [1.0]

        return Case(name, name, (RATE,), ask)

    peers = [Peer(name, "wsgi", nobody, "pyfork") for name in "ab"]
    run = Run("", "", "", "", 2, 1, {})
    plan = [(case("1"), peers), (case("2"), peers[:1])]
    measure(run, plan, BENCH, lambda line: None, lambda run: None)
    assert asked == ["1a", "1b", "2a", "1b", "1a", "2a"]


def test_what_a_former_run_has_is_not_asked_again(fresh: Run) -> None:
    asked: list[str] = []

    def ask(bench: Bench, peer: Peer) -> list[float]:
        asked.append(peer.name)
        return [2.0]

    rounds = {"a": [[1.0], [1.0]], "b": [[1.0]]}
    fresh.results = [Result("case", "a case", [RATE], rounds, {"b": ["once"], "c": ["no", "no"]})]
    peers = [Peer(name, "wsgi", nobody, "pyfork") for name in "abc"]
    asked_in(Case("case", "a case", (RATE,), ask), peers, fresh)
    assert asked == ["a", "b"]
    assert rounds == {"a": [[1.0], [1.0], [2.0]], "b": [[1.0], [2.0]]}


def test_a_run_is_resumed_where_it_was_begun(fresh: Run) -> None:
    other = Run("other words", "2026-01-01", "a machine", "CPython", 5, 2, {"a": "a 1"})
    assert fresh.same_place(other)
    assert other.same_place(fresh)
    fresh.versions = {"a": "a 2"}
    assert not fresh.same_place(other)
    fresh.versions, fresh.seconds = {}, 4
    assert not fresh.same_place(other)


def test_who_cannot_be_asked_is_named(fresh: Run) -> None:
    missing = Peer("a", "wsgi", nobody, "no-such-package")
    unable = Peer("b", "wsgi", nobody, "pyfork", features=frozenset(("workers",)))
    case = Case("case", "a case", (RATE,), lambda bench, peer: [1.0], needs=("workers", "log"))
    asked_in(case, [missing, unable], fresh)
    (found,) = fresh.results
    assert found.lacks == {"a": "not installed: no-such-package", "b": "it has no access log"}
    assert not found.rounds
    assert "b                 it has no access log" in report.table(found)


def test_a_case_asks_its_own_peers_but_for_those_that_are_named() -> None:
    case = Case("case", "a case", (RATE,), lambda bench, peer: [1.0], "asgi", peers={"uvicorn"})
    assert [peer.name for peer in case.asks(PEERS, named=False)] == ["uvicorn"]
    named = {peer.name for peer in case.asks(PEERS, named=True)}
    assert {"hypercorn", "uvicorn"} <= named
    assert "pyfork-wsgi" not in named
    everyone = Case("case", "a case", (RATE,), lambda bench, peer: [1.0], peers=())
    assert everyone.asks(PEERS, named=False) == list(PEERS)


def test_cases_name_peers_and_features_that_there_are() -> None:
    names = {peer.name for peer in PEERS}
    assert all(set(case.peers) <= names and set(case.needs) <= set(LACKS) for case in CASES)
    assert set(page.SHORT_PEERS) <= names
    assert {*page.OF_ALL, *page.IN_SHORT} <= {case.name for case in CASES}
    assert all(peer.features <= set(LACKS) for peer in PEERS)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_idle_connections_change_the_command_of_who_keeps_few(peer: Peer) -> None:
    default, kept = (peer.command(Start("a:b", 1, idle=idle)) for idle in (0, 5000))
    assert (default != kept) == (peer.name not in ("bjoern", "fastpysgi"))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("'--enable-optimizations' '--with-lto'  -O3", "PGO and LTO"),
        ("'--enable-shared' -O2 -flto=auto -fprofile-use", "PGO and LTO"),
        ("'--enable-optimizations'", "PGO"),
        ("'--enable-shared' '--prefix=/usr' -O3", ""),
    ],
)
def test_how_an_interpreter_was_built(flags: str, told: str) -> None:
    assert optimised(flags) == told
    assert python().startswith(platform.python_implementation())
