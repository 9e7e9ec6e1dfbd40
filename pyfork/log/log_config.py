"""``--log-config``: an operator's logging configuration in place of pyfork's."""

import configparser
import json
import logging.config
import os
from typing import Any

from pyfork.errors import ConfigError


def load(path: str) -> None:
    """Apply the file: ``.json`` and ``.toml`` by dictConfig's schema, others as fileConfig's INI.

    ``version = 1`` may be left out. Loggers that the file does not name stay enabled unless it
    says otherwise.

    Raises:
        ConfigError: it cannot be read, or the logging package rejects it.
    """
    try:
        if os.path.splitext(path)[1] in (".json", ".toml"):
            _apply(_mapping(path))
        else:
            parser = configparser.ConfigParser()
            with open(path, encoding="utf-8") as file:
                parser.read_file(file, path)
            logging.config.fileConfig(parser, disable_existing_loggers=False)
    except OSError as error:
        raise ConfigError(f"--log-config: {path}: {error.strerror or error}") from error
    except (configparser.Error, KeyError) as error:
        raise ConfigError(
            f"--log-config: {path} is no logging set-up: {_reason(error)}; sections [loggers], "
            "[handlers] and [formatters] are needed"
        ) from error
    except Exception as error:  # it names classes and, as INI, holds code: any may raise
        raise ConfigError(f"--log-config: {path}: {_reason(error)}") from error


def load_dictionary(given: dict[str, Any]) -> None:
    """Apply the dictionary of a Python configuration file. Raises ConfigError: logging rejects
    it."""
    try:
        _apply(given)
    except Exception as error:  # it names classes: any may raise
        raise ConfigError(f"log_config_dict: {_reason(error)}") from error


def _apply(given: dict[str, Any]) -> None:
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False} | given)


def _mapping(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        if path.endswith(".json"):
            found = json.load(file)
        else:
            import tomllib

            found = tomllib.load(file)
    if not isinstance(found, dict):
        raise TypeError("the outermost value is not an object")
    return found


def _reason(error: BaseException) -> str:
    """Return dictConfig's message with its cause: the message says where, the cause why."""
    where = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):
        where = f"{error.args[0]!r} is missing"
    return f"{where}: {_reason(error.__cause__)}" if error.__cause__ else where
