"""Flags of gunicorn and uvicorn, besides pyfork's own, as options of the command line."""

from collections.abc import Collection, Iterator, Mapping

from pyfork.config.command_line.getopt import Option, ParsedOption
from pyfork.config.compat.gunicorn import GUNICORN
from pyfork.config.compat.rules import Takes, Translation, translate
from pyfork.config.compat.uvicorn import UVICORN, with_address
from pyfork.config.sources.raw_value import RawValue

_TABLES = {"gunicorn": GUNICORN, "uvicorn": UVICORN}


def options(taken: Collection[str]) -> Iterator[Option]:
    """Yield an option for each rule with flags; ``taken`` has the flags that exist already."""
    known = set(taken)
    for server, table in _TABLES.items():
        for name, outcome in table.items():
            flags = tuple(flag for flag in outcome.flags.split() if flag not in known)
            known.update(flags)
            if flags or outcome.off:
                yield Option(
                    f"{server}:{name}",
                    flags,
                    "",
                    metavar="" if outcome.takes is Takes.NOTHING else "VALUE",
                    off=outcome.off or None,
                    repeat=outcome.takes is Takes.SEVERAL,
                )


def translated(said: Mapping[str, ParsedOption], origin: str) -> Translation:
    """Translate options made by `options`; ``said`` may have others, too.

    Raises:
        ConfigError: one is refused, or invalid.
    """
    given: dict[str, RawValue] = {}
    notes: tuple[str, ...] = ()
    for server, table in _TABLES.items():
        found = [
            (name.partition(":")[2], RawValue(each.raw, origin + each.flag))
            for name, each in said.items()
            if name.startswith(f"{server}:")
        ]
        done = translate(table, with_address(found) if server == "uvicorn" else found)
        given |= done.given
        notes += done.notes
    return Translation(given, notes)
