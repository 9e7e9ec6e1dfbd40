"""Commands and flags of other servers and process managers, and pyfork's equivalents.

Used for a word that pyfork does not know, before a spelling correction. Pure.
"""

from collections.abc import Iterable

from pyfork.config.sources.raw_value import suggestion

_STATUS = "to see a running server and its workers, write pyfork describe [TARGET]"
_STOP = "to stop a running server, write pyfork stop [TARGET]"
_DEVELOP = "to serve and reload while you edit, write pyfork APP --reload"
_UNIT = "systemd starts pyfork at boot: pyfork unit [TARGET] prints the service"
_LOG = "to read the log of a running server, write pyfork logs [TARGET]"

COMMANDS = {
    **dict.fromkeys(("info", "show", "monit"), _STATUS),
    **dict.fromkeys(("kill", "delete", "del", "down", "shutdown", "quit"), _STOP),
    **dict.fromkeys(("dev", "develop", "runserver", "watch"), _DEVELOP),
    **dict.fromkeys(("save", "startup", "install"), _UNIT),
    **dict.fromkeys(("log",), _LOG),
    **dict.fromkeys(
        ("check", "configtest"), "to load settings and application, write pyfork --check-config APP"
    ),
    "up": "to serve an application, write pyfork APP",
    "config": "to see each setting and its origin, write pyfork --print-config",
    "version": "write pyfork --version",
}
"""Commands of pm2, uvicorn, fastapi, flask, django and pumactl that pyfork lacks."""

_STATIC = (
    "pyfork serves no static files; a proxy does, or WhiteNoise (Flask, Django) or StaticFiles "
    "(Starlette, FastAPI) in the application"
)

FLAGS = {
    "--watch": "--reload",
    "--debug": "for errors and reloads, write --reload; for more in the log, --log-level debug",
    "--quiet": "--log-level warning",
    "--dev": "--reload",
    "--instances": "--workers",
    "--processes": "--workers",
    "--concurrency": "--worker-connections",
    "--blocking-threads": "--threads",
    "--max-memory-restart": "--max-memory",
    "--workers-max-rss": "--max-memory",
    "--workers-lifetime": "--max-requests, a number of requests",
    "--workers-kill-timeout": "--graceful-timeout",
    "--kill-timeout": "--graceful-timeout",
    "--respawn-failed-workers": "nothing: a worker that ends is always replaced",
    "--process-name": "--name",
    "--working-dir": "--chdir",
    "--cwd": "--chdir",
    "--env-files": "--env-file",
    "--url-path-prefix": "--root-path",
    "--access-log-fmt": "--access-logformat",
    "--log-file": "--error-logfile",
    "--output": "--error-logfile",
    "--listen": "--bind",
    "--socket": "--bind",
    "--http-socket": "--bind",
    "--endpoint": "--bind",
    "--insecure-bind": "--bind without --certfile",
    "--ssl-certificate": "--certfile",
    "--cert": "--certfile",
    "--key": "--keyfile",
    "--ssl-keyfile": "--keyfile",
    "--extra-files": "--reload-extra-file",
    "--exclude-patterns": "--reload-exclude",
    "--reload-paths": "--reload-dir",
    "--ignore-watch": "--reload-exclude",
    "--module": "the application without a flag: pyfork MODULE:NAME",
    "--wsgi-file": "the application without a flag: pyfork MODULE:NAME",
    "--app": "the application without a flag: pyfork MODULE:NAME",
    "--runtime-threads": "--workers; each worker has one loop",
    "--runtime-mode": "nothing: each worker has one loop",
    **dict.fromkeys(
        ("--static-path-mount", "--static-path-route", "--static-path-expires", "--static-map"),
        _STATIC,
    ),
}
"""Flags of granian, hypercorn, daphne, waitress, uwsgi, flask and pm2 that pyfork lacks."""


def command_advice(word: str, commands: Iterable[str]) -> str:
    """Return the end of a message about the unknown command ``word``; "" without a suggestion."""
    if word in COMMANDS:
        return f": {COMMANDS[word]}"
    return suggestion(word, commands, cutoff=0.75).replace("did you mean ", "did you mean pyfork ")


def flag_advice(flag: str) -> str:
    """Return the end of a message about the unknown ``flag``; "" if no other server has it."""
    advice = FLAGS.get(flag, "")
    return f": here it is {advice}" if advice.startswith("--") else advice and f": {advice}"
