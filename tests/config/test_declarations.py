"""The declarations themselves, and the page made from them."""

from pathlib import Path

import pytest

from pyfork.config.command_line.arguments import parse
from pyfork.config.config import SETTINGS, Config
from pyfork.config.docs import page

PAGE = Path(__file__).parents[2] / "docs/settings.md"


def test_every_field_is_a_setting() -> None:
    assert list(SETTINGS) == list(vars(Config()))


@pytest.mark.parametrize("name", SETTINGS)
def test_each_is_declared_whole(name: str) -> None:
    each = SETTINGS[name]
    assert each.flags or name == "app" or each.python
    assert not (each.flags and each.python)
    assert each.env == f"PYFORK_{name.upper()}"
    assert each.group
    assert each.kind.expects
    assert each.help.endswith(".")
    assert each.since


def test_no_two_share_a_flag() -> None:
    flags = [flag for each in SETTINGS.values() for flag in (*each.flags, each.off) if flag]
    assert len(flags) == len(set(flags))
    assert not set(flags) & {"-c", "--config", "-h", "--help", "--version"}


@pytest.mark.parametrize("name", SETTINGS)
def test_each_flag_is_taken(name: str) -> None:
    each = SETTINGS[name]
    for flag in each.flags:
        words = [flag] if isinstance(each.default, bool) else [flag, "x"]
        given = parse(words).given
        assert list(given) == [name]
        assert given[name].origin == flag


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run: python -m pyfork.config.docs > docs/settings.md"
