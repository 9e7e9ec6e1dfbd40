"""The site is built without a warning, whole, and fetches nothing from elsewhere."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.harness.server import ROOT

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("material"), reason="the docs extra is not installed"
)

CONFIG = ROOT / ".mkdocs/mkdocs.yml"
ELSEWHERE = re.compile(r"^\s*(https?:)?//")


class Fetched(HTMLParser):
    """What a browser would fetch for a page; where it may be sent by a click is not that."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            values = [value for name, value in attrs if value and name != "xmlns"]
            self.found |= set(filter(ELSEWHERE.match, values))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", CONFIG, "-d", built]
    # Its own news about the future of the theme is not about the site.
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    return built


def test_every_page_is_there(site: Path) -> None:
    docs = ROOT / "docs"
    pages = {str(path.relative_to(docs).with_suffix("")) for path in docs.rglob("*.md")}
    shown = {str(path.parent.relative_to(site)) for path in site.glob("*/**/index.html")}
    assert shown == {page.removesuffix("/README") for page in pages} - {"index"}
    named = set(re.findall(r": (\S+)\.md$", CONFIG.read_text(), re.MULTILINE))
    records = {page for page in pages if re.match(r"decisions/\d", page)}  # their index has them
    assert pages - records <= named, "a page that the navigation does not name"


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = Fetched()
        fetched.feed(page.read_text())
        assert not fetched.found, page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)[\s'\"]*(https?:)?//", sheet.read_text()), sheet


def test_the_examples_are_there(site: Path) -> None:
    page = (site / "containers/index.html").read_text()
    for link in re.findall(r'href="\.\./(examples/[^"]+)"', page):
        assert (site / link).read_bytes() == (ROOT / link).read_bytes()
    assert 'href="../examples/docker/Dockerfile"' in page


def test_the_navigation_has_four_sections(site: Path) -> None:
    tabs = re.findall(
        r'md-tabs__link">\s*(?:<[^>]+>\s*)*([\w -]+?)\s*<', (site / "index.html").read_text()
    )
    assert tabs == ["Home", "Quick start", "How-to guides", "Reference", "Explanation"]


def test_the_search_finds_pages_by_their_subject(site: Path) -> None:
    """The index that the search in the browser reads has each page, and its sections."""
    index = json.loads((site / "search/search_index.json").read_text())
    for word, page in {
        "logrotate": "logs/",
        "celery": "background-jobs/",
        "graceful-timeout": "timeouts/",
    }.items():
        found = {
            entry["location"].partition("#")[0]
            for entry in index["docs"]
            if word in entry["text"].lower()
        }
        assert page in found, word
