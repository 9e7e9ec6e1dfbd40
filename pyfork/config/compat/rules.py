"""The three things that can become of another server's setting, and how a table of them is used.

A name is honoured (its value goes to a setting of ours), idle (taken, with one line that says why
it does nothing here), or refused (with what to use instead). A value that asks for nothing, such
as ``daemon = False``, is let pass in silence. Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from pyfork.config.config import SETTINGS
from pyfork.config.sources.raw_value import RawValue
from pyfork.errors import ConfigError
from pyfork.record import record


class Effect(Enum):
    """What becomes of a name."""

    HONOURED = "honoured"
    IDLE = "taken, does nothing"
    REFUSED = "refused"


class Takes(Enum):
    """What follows a flag on the command line."""

    VALUE = "a value"
    NOTHING = "nothing"
    SEVERAL = "a value; the flag may be repeated"


@record(kw_only=True)
class CompatRule:
    """What becomes of one name."""

    fate: Effect
    to: str = ""  # our setting, if honoured
    read: Callable[[Any], Any] | None = None  # from their value to ours; None: they are alike
    says: str = ""  # completes "NAME: ": a remark, why it is idle, or what to use instead
    harmless: tuple[Any, ...] = ()  # values that ask for nothing
    flags: str = ""  # that our command line does not have anyway
    off: str = ""  # the flag that says no
    takes: Takes = Takes.VALUE


def honoured(to: str, says: str = "", **more: Any) -> CompatRule:
    """Its value is that of our setting ``to``."""
    return CompatRule(fate=Effect.HONOURED, to=to, says=says, **more)


def idle(why: str, **more: Any) -> CompatRule:
    """It does nothing here, for the reason given."""
    return CompatRule(fate=Effect.IDLE, says=why, **more)


def refused(instead: str, **more: Any) -> CompatRule:
    """To take it and not do it would be wrong; ``instead`` says what to do."""
    return CompatRule(fate=Effect.REFUSED, says=instead, **more)


@record
class Translation:
    """What names of another server come to."""

    given: dict[str, RawValue]  # by the names of our settings
    notes: tuple[str, ...]  # a line each


def translate(
    table: Mapping[str, CompatRule], found: Iterable[tuple[str, RawValue]]
) -> Translation:
    """Give every name in ``found`` what ``table`` has for it.

    Raises:
        ConfigError: some are refused, have a value that cannot be read, or name one setting twice.
            Every one of the refused is in the message.
    """
    given: dict[str, RawValue] = {}
    notes, refusals = [], []
    for name, each in found:
        outcome = table[name]
        if each.raw in (None, "") or any(each.raw == value for value in outcome.harmless):
            continue
        if outcome.fate is Effect.HONOURED and outcome.to in SETTINGS:
            if outcome.to in given:
                raise ConfigError(f"{each.origin}: says the same as {given[outcome.to].origin}")
            given[outcome.to] = RawValue(_read(outcome, each), each.origin)
        elif outcome.fate is not Effect.IDLE:
            refusals.append(f"{each.origin}: {outcome.says or _absent(outcome)}")
            continue
        if outcome.says:
            notes.append(f"{each.origin}: {outcome.says}")
    if refusals:
        raise ConfigError("\n  ".join(refusals))
    return Translation(given, tuple(notes))


def _read(outcome: CompatRule, each: RawValue) -> object:
    if outcome.read is None:
        return each.raw
    try:
        return outcome.read(each.raw)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{each.origin}: {each.raw!r}: {error}") from None


def _absent(outcome: CompatRule) -> str:
    return f"this pyfork has no setting {outcome.to}"
