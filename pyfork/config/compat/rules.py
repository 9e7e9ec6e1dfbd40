"""Rules for another server's settings, and translation by a table of rules.

A name is honoured (it sets a setting of pyfork), ignored (accepted with a remark on why it does
nothing), or refused (with the alternative). A value that asks for nothing, such as ``daemon =
False``, is accepted silently. Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from pyfork.config.config import SETTINGS
from pyfork.config.sources.raw_value import RawValue
from pyfork.errors import ConfigError
from pyfork.record import record


class Effect(Enum):
    """The treatment of a name."""

    HONOURED = "honoured"
    IDLE = "taken, does nothing"
    REFUSED = "refused"


class Takes(Enum):
    """The arguments of a flag."""

    VALUE = "a value"
    NOTHING = "nothing"
    SEVERAL = "a value; the flag may be repeated"


@record(kw_only=True)
class CompatRule:
    """The treatment of one name."""

    fate: Effect
    to: str = ""  # pyfork's setting, if honoured
    read: Callable[[Any], Any] | None = None  # converts the value; None: same type
    says: str = ""  # completes "NAME: ": a remark, the reason for ignoring, or the alternative
    harmless: tuple[Any, ...] = ()  # values that are accepted silently
    flags: str = ""  # that pyfork's command line lacks
    off: str = ""  # the flag that turns it off
    takes: Takes = Takes.VALUE


def honoured(to: str, says: str = "", **more: Any) -> CompatRule:
    """Return the rule for a name whose value goes to the setting ``to``."""
    return CompatRule(fate=Effect.HONOURED, to=to, says=says, **more)


def idle(why: str, **more: Any) -> CompatRule:
    """Return the rule for a name that does nothing here, for the reason ``why``."""
    return CompatRule(fate=Effect.IDLE, says=why, **more)


def refused(instead: str, **more: Any) -> CompatRule:
    """Return the rule for a name that must not be ignored; ``instead`` names the alternative."""
    return CompatRule(fate=Effect.REFUSED, says=instead, **more)


@record
class Translation:
    """The result of a translation."""

    given: dict[str, RawValue]  # by names of pyfork's settings
    notes: tuple[str, ...]  # one line each


def translate(
    table: Mapping[str, CompatRule], found: Iterable[tuple[str, RawValue]]
) -> Translation:
    """Translate every name in ``found`` by ``table``.

    Raises:
        ConfigError: names are refused (the message lists all), a value is invalid, or two names
            set the same setting.
    """
    given: dict[str, RawValue] = {}
    notes, refusals = [], []
    for name, entry in found:
        outcome = table[name]
        if entry.raw in (None, "") or any(entry.raw == value for value in outcome.harmless):
            continue
        if outcome.fate is Effect.HONOURED and outcome.to in SETTINGS:
            if outcome.to in given:
                raise ConfigError(f"{entry.origin}: says the same as {given[outcome.to].origin}")
            given[outcome.to] = RawValue(_read(outcome, entry), entry.origin)
        elif outcome.fate is not Effect.IDLE:
            refusals.append(f"{entry.origin}: {outcome.says or _absent(outcome)}")
            continue
        if outcome.says:
            notes.append(f"{entry.origin}: {outcome.says}")
    if refusals:
        raise ConfigError("\n  ".join(refusals))
    return Translation(given, tuple(notes))


def _read(outcome: CompatRule, entry: RawValue) -> object:
    if outcome.read is None:
        return entry.raw
    try:
        return outcome.read(entry.raw)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{entry.origin}: {entry.raw!r}: {error}") from None


def _absent(outcome: CompatRule) -> str:
    return f"this pyfork has no setting {outcome.to}"
