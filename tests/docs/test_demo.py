"""The demonstration is a drawing that a page can show by itself; its recording is no test."""

import re
from xml.etree import ElementTree

from tests.docs.demo import ROWS, drawing
from tests.harness.server import ROOT

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_it_is_small_and_fetches_nothing() -> None:
    svg = (ROOT / "docs/demo.svg").read_text()
    assert len(svg) < 200_000
    assert not re.search(r"(?:href|src)=|<script|@import|url\(", svg)


def test_the_recorded_session_lost_nothing() -> None:
    shown = texts((ROOT / "docs/demo.svg").read_text())
    assert any(
        re.fullmatch(r"[\d,]+ requests answered, 0 failed, 0 connections closed", line)
        for line in shown
    )
    assert any("generation 2 serves" in line for line in shown)
    assert any("reload failed" in line for line in shown)


def test_a_line_becomes_visible_at_its_time() -> None:
    svg = drawing([(100.0, "$ a"), (100.5, "\x1b[31mb < c\x1b[0m"), (190.0, "")], pause=1)
    assert texts(svg) == ["$ a", "b < c", ""]
    assert '<tspan style="fill:#ff7b72">b &lt; c</tspan>' in svg
    whole = 0.3 + 0.5 + 0.8 + 1  # a long pause is shortened
    shown = [float(at) for at in re.findall(r"k\d+\{0%,([\d.]+)%", svg)]
    assert shown == [round(100 * at / whole, 2) for at in (0.3, 0.8, 1.6)]


def test_it_scrolls_when_the_page_is_full() -> None:
    lines = [(float(number), str(number)) for number in range(ROWS + 2)]
    assert re.findall(r"translateY\(-(\d+)px", drawing(lines)) == ["18", "36"]
