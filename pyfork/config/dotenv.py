"""Environment files: NAME=VALUE in each line, as ``docker --env-file`` and uvicorn read them.

Empty lines and comments are skipped, ``export`` may stand in front, quotes around a value go.
Nothing is expanded.
"""

import re

from pyfork.errors import ConfigError

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(["'])(.*)\1\s*(?:#.*)?""")
_COMMENT = re.compile(r"(?:^|\s)#.*")


def variables(path: str, origin: str) -> tuple[tuple[str, str], ...]:
    """The variables of a file, in order. Raises ConfigError; ``origin`` is put before it."""
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{origin}: {path} cannot be read: {why}") from None
    found = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigError(f"{origin}: {path}, line {number}: it is not NAME=VALUE")
        found.append((match[1], _value(match[2])))
    return tuple(found)


def _value(text: str) -> str:
    if quoted := _QUOTED.fullmatch(text):
        return quoted[2]
    return _COMMENT.sub("", text).rstrip()
