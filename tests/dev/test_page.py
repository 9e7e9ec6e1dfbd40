"""The page itself: everything escaped, nothing from elsewhere; and in a real browser."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pyfork.dev.errors import page as error_page
from pyfork.dev.errors.report import ErrorInfo, ErrorReport, Frame
from tests import programs
from tests.dev.browser import Browser
from tests.dev.project import PATIENCE, Development, Project

EVIL = """</style><script>alert(1)</script><img src=x onerror="alert(2)">&amp;'"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    driver, chromium = programs.need("chromedriver"), programs.need("chromium")
    with Browser(driver, chromium, tmp_path / "profile") as browser:
        yield browser


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _parsed(fault: ErrorReport) -> tuple[str, _Tags]:
    text = error_page.render(fault, method="GET", nonce="N", header="Pyfork-Fault")
    tags = _Tags()
    tags.feed(text)
    return text, tags


def test_everything_is_escaped_and_nothing_comes_from_elsewhere() -> None:
    frame = Frame(EVIL, 1, EVIL, ((1, f"text = {EVIL!r}  # {EVIL}"), (2, EVIL)))
    fault = ErrorReport(
        EVIL, EVIL, (ErrorInfo(EVIL, EVIL, (frame,)), ErrorInfo(EVIL, EVIL, ())), EVIL
    )
    text, tags = _parsed(fault)
    names = [name for name, _ in tags.seen]
    assert names.count("script") == names.count("style") == 1
    assert "img" not in names
    attributes = {name for _, attrs in tags.seen for name in attrs}
    assert not attributes & {"src", "href", "onerror", "style"}
    assert tags.text.count(EVIL) >= 6
    assert not re.search(r"https?://", text)


def test_code_is_shown_as_it_is() -> None:
    lines = [
        "def f(a='x', b=\"y\"):  # it's",
        "\treturn 0x1F if a else None",
        "",
        "    x = '''",
        "é",
    ]
    source = tuple(enumerate(lines, 1))
    fault = ErrorReport("a", "r", (ErrorInfo("E", "m", (Frame("a.py", 2, "f", source),)),), "")
    _, tags = _parsed(fault)
    for line in lines:
        assert line in tags.text


def test_it_is_shown_in_a_browser_and_gone_after_the_heal(
    project: Project, browser: Browser
) -> None:
    with Development(project, "shop:app", "-w", "2") as server:
        browser.open(server.urls[0] + "/?page=1#here")
        assert "one" in browser.text()
        project.write("goods/prices.py", "TEXT = '<b>' + missing\n")
        shown = server.until(lambda: _shown(browser, server, "NameError"), "it is shown", PATIENCE)
        assert "name 'missing' is not defined" in shown
        assert "goods/prices.py, line 1" in shown
        assert browser.run("return document.querySelectorAll('.hit').length") == 2
        assert browser.run("return document.querySelectorAll('b').length") == 0
        project.write("goods/prices.py", "TEXT = '<i>' + undefined\n")
        server.until(lambda: "undefined" in browser.text(), "the other fault is shown", PATIENCE)
        project.price("healed")
        server.until(lambda: "healed" in browser.text(), "the page is gone by itself", PATIENCE)
        assert browser.run("return location.href").endswith("/?page=1#here")
        assert browser.complaints() == []


def _shown(browser: Browser, server: Development, text: str) -> str:
    """What the browser shows, if that is in it; its connection may be the old worker's for a
    moment, with an answer that nothing makes it load again."""
    browser.open(server.urls[0] + "/?page=1#here")
    shown = browser.text()
    return shown if text in shown else ""
