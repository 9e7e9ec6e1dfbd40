"""The command line: options made from the declarations, and what was given with them.

Options carry text through unread: values of every source are read by the same code. Nothing here
prints or exits.
"""

from collections.abc import Iterator, Sequence

from pyfork.config.declare import Setting
from pyfork.config.options import Option, read
from pyfork.config.settings import SETTINGS
from pyfork.config.sources import Given, Source
from pyfork.errors import ConfigError
from pyfork.record import record

_ACTIONS = {
    "help": ("-h", "--help", "Show this text and exit."),
    "version": ("--version", "Show the version and exit."),
    "print_config": ("--print-config", "Show each setting, where it comes from, and exit."),
    "check_config": ("--check-config", "Load the settings and the application, and exit."),
}


@record
class Arguments:
    """What one command line says."""

    given: Source
    file: str | None  # --config
    action: str  # a key of _ACTIONS, or "serve"
    takeover: bool = False  # follow a server that runs already


def parse(argv: Sequence[str], origin: str = "") -> Arguments:
    """What the words ``argv`` say; ``origin`` is put before the flags in messages.

    Raises:
        ConfigError: an unknown flag, a flag without its value, or a word too many.
    """
    try:
        said = read(argv, _options(), ["app"])
    except ConfigError as error:
        raise ConfigError(f"{origin}{error}") from None
    config = said.get("config")
    return Arguments(
        given={
            name: Given(each.raw, origin + (each.flag or "APP"))
            for name, each in said.items()
            if name in SETTINGS
        },
        file=str(config.raw) if config else None,
        action=next((name for name in _ACTIONS if name in said), "serve"),
        takeover="takeover" in said,
    )


def usage() -> str:
    """The help text."""
    from pyfork.config.usage import page  # not at each start

    return page(
        "pyfork",
        "Serve the WSGI or ASGI application APP from worker processes on one port.",
        _options(),
        ["[APP]"],
    )


def _options() -> Iterator[Option]:
    yield Option(
        "config",
        ("-c", "--config"),
        "Read settings from this TOML file, not from ./pyfork.toml or ./pyproject.toml.",
        metavar="FILE",
    )
    yield Option(
        "takeover",
        ("--takeover",),
        "Take the port over from the pyfork that has this --name or serves on this --bind, "
        "without losing a connection. Starts as usual if there is none.",
    )
    for name, (*flags, help) in _ACTIONS.items():
        yield Option(name, tuple(flags), help)
    for each in SETTINGS.values():
        if each.flags:
            yield _option(each)


def _option(each: Setting) -> Option:
    if isinstance(each.default, bool):
        return Option(each.name, each.flags, each.help, off=each.off, group=each.group)
    return Option(
        each.name,
        each.flags,
        each.help,
        metavar=each.kind.metavar,
        default=each.kind.show(each.default),
        repeat=each.repeat,
        group=each.group,
    )
