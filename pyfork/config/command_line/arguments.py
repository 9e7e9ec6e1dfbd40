"""The command line: options made from the declarations, and what was given with them.

Options carry text through unread: values of every source are read by the same code. Nothing here
prints or exits.
"""

from collections.abc import Iterator, Mapping, Sequence

from pyfork.config.command_line.getopt import NoSuchOption, Option, ParsedOption, read
from pyfork.config.config import SETTINGS
from pyfork.config.settings.declare import Setting
from pyfork.config.sources.raw_value import RawValue, Source
from pyfork.errors import ConfigError
from pyfork.record import record

_ACTIONS = {
    "help": ("-h", "--help", "Show the most common options and exit."),
    "help_all": ("--help-all", "Show every option and exit."),
    "version": ("--version", "Show the version and exit."),
    "print_config": ("--print-config", "Show each setting, where it comes from, and exit."),
    "check_config": ("--check-config", "Load the settings and the application, and exit."),
}


_COMMON = (
    *("reload", "bind", "workers", "worker_class", "threads", "timeout", "graceful_timeout"),
    *("name", "access_logfile", "log_level", "config", "check_config", "print_config"),
    *("help", "help_all", "version"),
)
"""The settings of the short help, in this order."""

_USAGE = {
    "": (
        "pyfork",
        "Serve the WSGI or ASGI application APP, such as shop.wsgi or shop.main:app, from worker "
        "processes on one port.",
        ["[APP]"],
    ),
    "run": (
        "pyfork run",
        "Run the Python script SCRIPT, which opens its own port, in several processes on that "
        "port; or a module, with -m MODULE.",
        ["SCRIPT", "[-- ARGS]"],
    ),
}


@record
class Arguments:
    """The content of one command line."""

    given: Source
    file: str | None  # --config
    action: str  # a key of _ACTIONS, or "serve"
    takeover: bool = False  # follow a server that runs already
    notes: tuple[str, ...] = ()  # what became of other servers' flags, a line each


def parse(argv: Sequence[str], origin: str = "") -> Arguments:
    """Parse the words ``argv``; ``origin`` is put before the flags in messages.

    Raises:
        ConfigError: an unknown flag, a flag without its value, or a word too many.
    """
    foreign: Mapping[str, RawValue] = {}
    notes: tuple[str, ...] = ()
    try:
        said = read(argv, options(), ["app"])
    except NoSuchOption:
        said, foreign, notes = _understand(argv, origin)
    except ConfigError as error:
        raise ConfigError(f"{origin}{error}") from None
    config = said.get("config")
    if verbose := said.get("verbose"):
        said.setdefault("log_level", ParsedOption("debug", verbose.flag))
    given = {
        name: RawValue(each.raw, origin + (each.flag or "APP"))
        for name, each in said.items()
        if name in SETTINGS
    }
    for name in given.keys() & foreign.keys():
        raise ConfigError(f"{foreign[name].origin}: says the same as {given[name].origin}")
    return Arguments(
        given={**given, **foreign},
        file=str(config.raw) if config else None,
        action=next((name for name in _ACTIONS if name in said), "serve"),
        takeover="takeover" in said,
        notes=notes,
    )


def _understand(
    argv: Sequence[str], origin: str
) -> tuple[dict[str, ParsedOption], Mapping[str, RawValue], tuple[str, ...]]:
    """Read flags that gunicorn or uvicorn has, too. Raises ConfigError."""
    from pyfork.config.compat import flags, names  # most command lines have none

    own = list(options())
    taken = {flag for each in own for flag in (*each.flags, each.off or "")}
    try:
        said = read(argv, [*own, *flags.options(taken)], ["app"])
    except NoSuchOption as error:
        advice = names.flag_advice(error.flag)
        text = f"{error.flag}: no such option{advice}" if advice else error
        raise ConfigError(f"{origin}{text}") from None
    except ConfigError as error:
        raise ConfigError(f"{origin}{error}") from None
    done = flags.translated(said, origin)
    return said, done.given, done.notes


def usage(verb: str = "", *, whole: bool = True) -> str:
    """The help text without a command, or of run: with all options, or with the common ones."""
    from pyfork.config.command_line.help import help_text  # not at each start

    known = {option.name: option for option in options()}
    if verb == "run":
        del known["bind"]  # the script does that
    common = [known[name] for name in _COMMON if name in known]
    name, text, operands = _USAGE[verb]
    return help_text(name, text, known.values() if whole else common, operands, short=not whole)


def options() -> Iterator[Option]:
    """Those that there are without a command, and for serve and run."""
    yield Option(
        "config",
        ("-c", "--config"),
        "Read settings from this file, not from ./pyfork.toml, ./pyfork.conf.py, ./pyproject.toml "
        "or ./gunicorn.conf.py. TOML, or Python: NAME.py, file:PATH or python:MODULE.",
        metavar="FILE",
    )
    yield Option(
        "takeover",
        ("--takeover",),
        "Take the port over from the pyfork that has this --name or serves on this --bind, "
        "without losing a connection. Starts as usual if there is none.",
    )
    yield Option("verbose", ("-v", "--verbose"), "The same as --log-level debug.")
    for name, (*flags, help) in _ACTIONS.items():
        yield Option(name, tuple(flags), help)
    for setting in SETTINGS.values():
        if setting.flags:
            yield _option(setting)


def _option(setting: Setting) -> Option:
    if isinstance(setting.default, bool):
        return Option(
            setting.name, setting.flags, setting.help, off=setting.off, group=setting.group
        )
    return Option(
        setting.name,
        setting.flags,
        setting.help,
        metavar=setting.kind.metavar,
        default=setting.kind.show(setting.default),
        repeat=setting.repeat,
        group=setting.group,
    )
