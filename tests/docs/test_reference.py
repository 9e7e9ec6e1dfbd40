"""Pages of the reference have all that there is."""

import re

from pyfork.config.config import SETTINGS
from pyfork.ctl.commands import COMMANDS
from pyfork.errors import ExitStatus
from pyfork.log.access import json_renderer
from pyfork.log.access_format import _GETTERS, _VARIABLES, _Sample
from tests.harness.server import ROOT


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()


def test_every_command() -> None:
    for name in (*COMMANDS, "serve", "run", "start", "completion", "help"):
        assert f"`pyfork {name}" in page("commands"), name


def test_every_exit_status() -> None:
    rows = set(re.findall(r"^\| (\d) \|", page("commands"), re.MULTILINE))
    assert rows == {str(int(status)) for status in ExitStatus}


def test_every_atom_and_field_of_the_access_log() -> None:
    text = page("access-log")
    assert set(re.findall(r"`%\((\w+)\)s`", text)) == set(_GETTERS)
    assert set(re.findall(r"`%\(\{NAME(\}\w)\)s`", text)) == set(_VARIABLES)
    fields = re.findall(r'"(\w+)":', json_renderer()(_Sample()))
    table = text.partition("## JSON fields")[2].partition("##")[0]
    named = [
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    ]
    assert named == fields


def test_every_variable() -> None:
    text = page("environment")
    for setting in SETTINGS.values():
        for name in setting.aliases:
            assert f"`{name}`" in text
    found = set()
    for path in (ROOT / "pyfork").rglob("*.py"):
        found |= set(re.findall(r'"(PYFORK_[A-Z_]*[A-Z])"', path.read_text()))
        found |= set(re.findall(r'environ\.get\("([A-Z_]+)"', path.read_text()))
    # Keys of a WSGI environ, and a word between two programs of pyfork.
    known = {"PATH_INFO", "QUERY_STRING", "RAW_URI", "REMOTE_ADDR", "PYFORK_UPGRADE"}
    for name in found - known:
        assert f"`{name}`" in text, name
