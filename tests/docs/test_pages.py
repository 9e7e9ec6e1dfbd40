"""Pages name what exists: files, links and commands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.__main__ import COMMANDS, PAGES
from tests.docs import states
from tests.harness.server import ROOT

FILES = [
    *ROOT.glob("*.md"),
    *ROOT.glob(".github/**/*.*"),
    *sorted((ROOT / "docs").rglob("*.md")),
]
# What these name is in other projects, or was in another release.
_FOREIGN = {"CHANGELOG.md", "migrate-gunicorn.md", "migrate-uvicorn.md", "migrate-pm2.md"}


def named(page: Path) -> set[str]:
    """The paths of this repository between backticks; in design.md and the like below pyfork/."""
    folders = "|".join(
        path.name for root in (ROOT, ROOT / "pyfork") for path in root.iterdir() if path.is_dir()
    )
    return set(re.findall(rf"`(\.?(?:{folders})/(?!1)[\w./-]*)`", page.read_text()))


@pytest.mark.parametrize("page", FILES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_exist(page: Path) -> None:
    if page.name not in _FOREIGN:
        for path in named(page):
            places = [ROOT / path, ROOT / "pyfork" / path, ROOT / "tests" / path]
            assert any(place.exists() or place.with_suffix(".py").exists() for place in places), (
                path
            )


@pytest.mark.parametrize("page", FILES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"\w+:", link):
            target, _, anchor = link.partition("#")
            there = (page.parent / target).resolve() if target else page
            assert there.exists(), link
            if anchor:
                assert anchor in anchors(there), link


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_where_is_what_has_every_folder() -> None:
    table = (ROOT / "docs/where.md").read_text().partition("##")[0]
    for path in (ROOT / "pyfork").iterdir():
        if (path / "__init__.py").is_file():  # else bytecode of a folder that has moved
            assert f"`{path.name}/`" in table, path
        elif path.suffix == ".py" and path.name != "__init__.py":
            assert f"`{path.name}`" in table, path


def test_commands_of_contributors_exist() -> None:
    shown = set()
    for page in FILES:
        shown |= set(re.findall(r"python3? -m tests (\w+)", page.read_text()))
    assert shown == set(COMMANDS)


def test_without_a_command_it_names_all() -> None:
    done = subprocess.run([sys.executable, "-m", "tests"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert set(re.findall(r"^ {4}(\w+) ", done.stderr, re.MULTILINE)) == set(COMMANDS)


def test_the_diagrams_are_current() -> None:
    assert (ROOT / "docs/states.md").read_text() == states.page(), "run: python -m tests docs"


def test_generated_pages_are_made_by_the_command() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        if "<!-- Generated" in page.read_text()[:400]:
            assert str(page.relative_to(ROOT)) in PAGES
