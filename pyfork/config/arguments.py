"""The command line: click options made from the declarations, and what was given with them.

Options carry text through unread: values of every source are read by the same code. Nothing here
prints or exits.
"""

from collections.abc import Iterable, Sequence

import click
from click.core import ParameterSource

from pyfork.config.declare import Setting
from pyfork.config.settings import SETTINGS
from pyfork.config.sources import Given, Source, suggestion
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


class _Grouped(click.Command):
    """Lists its options under the groups of the settings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[str, list[tuple[str, str]]] = {}
        for option in self.params:
            row = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if row is not None:
                group = SETTINGS[str(option.name)].group if option.name in SETTINGS else "Options"
                rows.setdefault(group, []).append(row)
        for group, listed in rows.items():
            with formatter.section(group):
                formatter.write_dl(listed)


def parse(argv: Sequence[str], origin: str = "") -> Arguments:
    """What the words ``argv`` say; ``origin`` is put before the flags in messages.

    Raises:
        ConfigError: an unknown flag, a flag without its value, or a word too many.
    """
    command = _command()
    try:
        # click empties the list that it is given.
        context = command.make_context("pyfork", list(argv))
    except click.NoSuchOption as error:
        flags = [flag for option in command.params for flag in option.opts + option.secondary_opts]
        name = error.option_name
        raise ConfigError(f"{origin}{name}: no such option{suggestion(name, flags)}") from None
    except click.UsageError as error:
        raise ConfigError(f"{origin}{error.format_message()}") from None
    said = {
        name: raw
        for name, raw in context.params.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    return Arguments(
        given={
            name: Given(raw, origin + _spelling(SETTINGS[name], argv))
            for name, raw in said.items()
            if name in SETTINGS
        },
        file=said.get("config"),
        action=next((name for name in _ACTIONS if name in said), "serve"),
        takeover=bool(said.get("takeover")),
    )


def usage() -> str:
    """The help text."""
    command = _command()
    return command.get_help(click.Context(command, info_name="pyfork"))


def _spelling(each: Setting, argv: Sequence[str]) -> str:
    """The flag as it was typed; a short one with its value in the same word counts as short."""
    typed = {word.partition("=")[0] for word in argv}
    flags = (*each.flags, *([each.off] if each.off else []))
    return next((flag for flag in flags if flag in typed), flags[0] if flags else "APP")


def _command() -> click.Command:
    return _Grouped(
        "pyfork",
        params=[*_own_options(), *map(_option, SETTINGS.values())],
        help="Serve the WSGI or ASGI application APP from worker processes on one port.",
        add_help_option=False,
    )


def _own_options() -> Iterable[click.Parameter]:
    yield click.Option(
        ["-c", "--config"],
        metavar="FILE",
        help="Read settings from this TOML file, not from ./pyfork.toml or ./pyproject.toml.",
    )
    yield click.Option(
        ["--takeover"],
        is_flag=True,
        help="Take the port over from the pyfork that has this --name or serves on this --bind, "
        "without losing a connection. Starts as usual if there is none.",
    )
    for name, (*flags, help) in _ACTIONS.items():
        yield click.Option([name, *flags], is_flag=True, help=help)


def _option(each: Setting) -> click.Parameter:
    if not each.flags:
        return click.Argument([each.name], required=False, metavar=f"[{each.kind.metavar}]")
    if isinstance(each.default, bool):
        flags = "/".join([*each.flags, *([each.off] if each.off else [])])
        return click.Option([each.name, flags], is_flag=True, help=each.help)
    return click.Option(
        [each.name, *each.flags],
        metavar=each.kind.metavar,
        multiple=each.repeat,
        help=f"{each.help}{_default(each)}",
    )


def _default(each: Setting) -> str:
    shown = each.kind.show(each.default)
    return f" [{shown}]" if shown else ""
