"""The meaning of the first word of a command line: a command, an application, or neither.

Nothing has been bound or forked yet when this is asked. Nothing is imported to find out.
"""

import os
import sys
from collections.abc import Collection, Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder

from pyfork.config.compat.names import command_advice
from pyfork.config.config import Config
from pyfork.config.sources.raw_value import suggestion
from pyfork.errors import ConfigError
from pyfork.loader.discovery import Found, discover

_ELSEWHERE = ("--chdir", "--pythonpath", "--app-dir")  # flags by which modules are somewhere else


def refuse_command(argv: Sequence[str], commands: Collection[str]) -> None:
    """Refuse a word that is a command of another program, or one of ``commands`` misspelt.

    A module of that name makes it an application. A directory without ``__init__.py`` makes it
    none: ``logs`` is one in many projects.

    Raises:
        ConfigError: the message says what to write.
    """
    word = argv[0]
    if any(each.startswith(_ELSEWHERE) for each in argv) or _is_source(word):
        return
    if advice := command_advice(word, commands):
        raise ConfigError(f"{word}: no such command{advice}")


def refuse_missing(config: Config, directory: str, commands: Collection[str]) -> None:
    """Refuse a name without an attribute, such as ``shop``, that is not a module."""
    name = str(config.app)
    ahead = [os.path.join(directory, each) for each in config.pythonpath]
    if _find(name, [*ahead, directory, *sys.path]) is None:
        near = suggestion(name, [*commands, *_modules(directory)], cutoff=0.75)
        raise ConfigError(f"{name}: no such command, and no such module in {directory}{near}")


def only_application(directory: str) -> Found:
    """The application in ``directory``.

    Raises:
        ConfigError: there is none, or more than one; the message lists them.
    """
    found = discover(directory)
    if not found:
        raise ConfigError(
            "no application given, and none was found here: write pyfork MODULE:NAME, or app in "
            "pyfork.toml"
        )
    if len(found) > 1:
        choices = " or ".join(f"pyfork {each.spec}" for each in found)
        raise ConfigError(f"no application given, and several were found here: write {choices}")
    return found[0]


def _is_source(name: str) -> bool:
    """Whether there is a module ``name`` that is no directory, and not Python's own."""
    path = [os.getcwd(), *(() if name in sys.stdlib_module_names else sys.path)]
    found = _find(name, path)
    return found is not None and found.origin is not None


def _find(name: str, path: Sequence[str]) -> ModuleSpec | None:
    """The module that an import of ``name`` would find: on ``path``, or in an editable install."""
    if found := PathFinder.find_spec(name, path):
        return found
    others = [each for each in sys.meta_path if each not in (BuiltinImporter, FrozenImporter)]
    found_by = (each.find_spec(name, None) for each in others if each is not PathFinder)
    return next(filter(None, found_by), None)


def _modules(directory: str) -> list[str]:
    return [name[:-3] for name in os.listdir(directory) if name.endswith(".py")]
