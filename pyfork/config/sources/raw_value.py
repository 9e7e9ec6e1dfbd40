"""A setting before it is read: the value as it was written, and its origin."""

from collections.abc import Iterable, Mapping

from pyfork.record import record


@record
class RawValue:
    """A value as it was written, and the source that has it."""

    raw: object
    origin: str  # such as "-w" or "pyfork.toml: workers"; messages begin with it


Source = Mapping[str, RawValue]
"""By setting name."""


@record
class FileSettings:
    """The settings of one configuration file."""

    given: Source = {}  # noqa: RUF012 - never changed
    notes: tuple[str, ...] = ()  # for the log: one line for each foreign name with a remark


def suggestion(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the end of a message about the unknown ``name``: the nearest known one, if any."""
    import difflib  # only for a mistake

    near = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near else ""
