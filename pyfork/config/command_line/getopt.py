"""Parses the words of a command line into options and operands.

As getopt_long(3) reads them: ``-w 4``, ``-w4``, ``--workers 4``, ``--workers=4``, one-letter
options joined, options and operands in any order, nothing but operands after ``--``. Unlike there,
no long option may be shortened, since a new one would give the short form another meaning; ``-w=4``
is the same as ``-w4``, as in argparse; a negative number is an operand.

docs/decisions/013 says why it is not argparse. Every start waits for it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pyfork.config.sources.raw_value import suggestion
from pyfork.errors import ConfigError
from pyfork.record import record


class NoSuchOption(ConfigError):
    """There is no such option as ``flag``."""

    def __init__(self, message: str, flag: str) -> None:
        super().__init__(message)
        self.flag = flag


@record
class Option:
    """One option. Without a ``metavar`` it takes no value and means True, or False as ``off``."""

    name: str
    flags: tuple[str, ...]
    help: str
    metavar: str = ""  # stands for the value in the help text
    default: str = ""  # what it is without this option, for the help text
    off: str | None = None
    repeat: bool = False  # each value counts, not just the last
    group: str = "Options"  # heading in the help text


@record
class CommandSpec:
    """A command, the first word of a line."""

    name: str
    help: str
    options: tuple[Option, ...] = ()  # its own
    words: tuple[str, ...] = ()  # what its first operand may be, where that is known


@record
class ParsedOption:
    """The value that was given for one name, and its flag."""

    raw: object  # text; a bool for an option without value; a tuple of texts for a repeated one
    flag: str  # "" for an operand


def read(
    words: Sequence[str], options: Iterable[Option], operands: Sequence[str]
) -> dict[str, ParsedOption]:
    """Parse ``words`` into values by name.

    Args:
        words: the command line without the name of the program.
        options: those that there are.
        operands: names for the words that are no options, in order; none needs to be there.

    Raises:
        NoSuchOption: an unknown option.
        ConfigError: an option without its value, or a word too many.
    """
    known = _by_flag(options)
    said: dict[str, ParsedOption] = {}
    free = list(operands)
    rest = iter(words)
    for word in rest:
        if word == "--":
            for operand in rest:
                _fill(said, free, operand)
        elif word.startswith("--"):
            flag, equals, value = word.partition("=")
            _take(said, known, flag, value if equals else None, rest)
        elif word[0:1] == "-" and len(word) > 1 and not word[1].isdigit():
            _take_letters(said, known, word, rest)
        else:
            _fill(said, free, word)
    return said


def _by_flag(options: Iterable[Option]) -> dict[str, Option]:
    known = {}
    for option in options:
        for flag in option.flags:
            known[flag] = option
        if option.off:
            known[option.off] = option
    return known


def _take_letters(
    said: dict[str, ParsedOption], known: Mapping[str, Option], word: str, rest: Iterator[str]
) -> None:
    """Options of one letter in one word: all but the last have no value."""
    for at in range(1, len(word)):
        flag = f"-{word[at]}"
        option = known.get(flag)
        if option and option.metavar:
            _take(said, known, flag, word[at + 1 :].removeprefix("=") or None, rest)
            return
        _take(said, known, flag, None, rest)


def _take(
    said: dict[str, ParsedOption],
    known: Mapping[str, Option],
    flag: str,
    value: str | None,
    rest: Iterator[str],
) -> None:
    """One option; ``value`` is what was joined to it, and the next of ``rest`` what follows."""
    option = known.get(flag)
    if option is None:
        raise NoSuchOption(f"{flag}: no such option{suggestion(flag, known)}", flag)
    raw: object = flag != option.off
    if option.metavar:
        raw = value if value is not None else next(rest, None)
        if raw is None:
            raise ConfigError(f"{flag}: needs a value: {flag} {option.metavar}")
    elif value is not None:
        raise ConfigError(f"{flag}: takes no value, and was given {value!r}")
    if option.repeat:
        before = said.get(option.name)
        raw = (*(before.raw if before else ()), raw)  # type: ignore[misc]
    said[option.name] = ParsedOption(raw, flag)


def _fill(said: dict[str, ParsedOption], free: list[str], word: str) -> None:
    if not free:
        raise ConfigError(f"{word}: one argument too many")
    said[free.pop(0)] = ParsedOption(word, "")
