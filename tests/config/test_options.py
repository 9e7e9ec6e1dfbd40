"""Reading the words of a command line, whatever the options are."""

import pytest

from pyfork.config.command_line.getopt import Option, ParsedOption, read
from pyfork.config.command_line.help import help_text
from pyfork.errors import ConfigError

OPTIONS = (
    Option("size", ("-s", "--size"), "How big.", metavar="N", default="1"),
    Option("add", ("-a", "--add"), "What else.", metavar="TEXT", repeat=True, group="More"),
    Option("quick", ("-q", "--quick"), "Soon.", off="--no-quick"),
    Option("very", ("-v",), "More so.", off=None),
)


def values(*words: str) -> dict[str, object]:
    return {name: each.raw for name, each in read(words, OPTIONS, ["first", "second"]).items()}


@pytest.mark.parametrize("words", [["-s", "4"], ["-s4"], ["-s=4"], ["--size", "4"], ["--size=4"]])
def test_a_value_is_joined_or_follows(words: list[str]) -> None:
    assert values(*words) == {"size": "4"}
    assert values("x", *words, "y") == {"first": "x", "size": "4", "second": "y"}


def test_the_flag_that_counts_is_known() -> None:
    said = read(["--size", "3", "x", "-s", "4"], OPTIONS, ["first"])
    assert said == {"size": ParsedOption("4", "-s"), "first": ParsedOption("x", "")}


def test_a_repeated_option_keeps_each_value() -> None:
    assert values("-a", "x", "--add=y", "-az") == {"add": ("x", "y", "z")}


def test_the_last_word_on_a_switch_counts() -> None:
    assert values("-q") == {"quick": True}
    assert values("--quick", "--no-quick") == {"quick": False}


def test_letters_may_be_joined() -> None:
    assert values("-qvs4") == {"quick": True, "very": True, "size": "4"}
    assert values("-qs", "4") == {"quick": True, "size": "4"}


def test_a_value_may_look_like_anything() -> None:
    for value in ("-", "--", "-q", "a=b", ""):
        assert values("--size", value) == {"size": value}
    assert values("--size=") == {"size": ""}


def test_what_is_no_option_is_an_operand() -> None:
    assert values("-", "-1") == {"first": "-", "second": "-1"}
    assert values("-q", "--", "-q", "--") == {"quick": True, "first": "-q", "second": "--"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--siz", "4"], "--siz: no such option; did you mean --size?"),  # not even shortened
        (["--siz=4"], "--siz: no such option; did you mean --size?"),
        (["-qx"], "-x: no such option"),
        (["---"], "---: no such option"),
        (["x", "-s"], "-s: needs a value: -s N"),
        (["-qs"], "-s: needs a value: -s N"),
        (["--quick=no"], "--quick: takes no value, and was given 'no'"),
        (["x", "y", "z"], "z: one argument too many"),
    ],
)
def test_a_mistake_is_named(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        values(*words)
    assert str(caught.value).startswith(message)


def test_the_help_text_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = Option("long", ("--long-as-it-is",), "Words, as for --well-known things.")
    assert help_text("do", "Do it.", [*OPTIONS[:3], long], ["[FIRST]"], end="The end.") == (
        "Usage: do [OPTIONS] [FIRST]\n\n"
        "  Do it.\n\n"
        "Options:\n"
        "  -s, --size N  How big. [1]\n"
        "  -q, --quick / --no-quick\n"
        "                Soon.\n"
        "  --long-as-it-is\n"
        "                Words, as for\n"
        "                --well-known things.\n\n"
        "More:\n"
        "  -a, --add TEXT\n"
        "                What else.\n\n"
        "  The end."
    )
