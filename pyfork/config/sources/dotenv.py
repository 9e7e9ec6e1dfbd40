"""Environment files in python-dotenv's format: `${NAME}`, escapes, values of several lines.

`${NAME}` is a variable above it in the file, or one of the environment.
"""

from io import StringIO

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from pyfork.errors import ConfigError


def variables(path: str, origin: str) -> tuple[tuple[str, str], ...]:
    """Return the variables of a file in order. Raises ConfigError; its message begins with
    ``origin``."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{origin}: {path} cannot be read: {why}") from None
    for binding in parse_stream(StringIO(text)):  # dotenv_values() skips invalid lines
        if not _is_usable(binding):
            line = _line(binding)
            raise ConfigError(f"{origin}: {path}, line {line}: it is not NAME=VALUE")
    found = dotenv_values(stream=StringIO(text))
    return tuple((name, value or "") for name, value in found.items())


def _is_usable(binding: Binding) -> bool:
    """Whether it is empty, a comment, or a variable that an environment can have."""
    if binding.error or binding.key is None:
        return not binding.error
    name, value = binding.key, binding.value
    return value is not None and "=" not in name and "\0" not in name + value


def _line(binding: Binding) -> int:
    """Return the number of its first line that is not empty."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
