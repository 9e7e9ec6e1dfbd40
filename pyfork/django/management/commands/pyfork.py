"""``manage.py pyfork``: the project's server of development, with the arguments of runserver.

The command makes the checks that runserver makes. Then it becomes pyfork by an exec: the arbiter
has imported nothing of the project, so that each reload begins with a clean process.
"""

import os
import sys
from typing import Any, NoReturn

from django.conf import settings  # type: ignore[import-untyped]
from django.core.management.base import (  # type: ignore[import-untyped]
    BaseCommand,
    CommandError,
    CommandParser,
)

_THREADS = 8  # runserver has a thread for each request


class Command(BaseCommand):  # type: ignore[misc]
    """The command."""

    help = "Serves the project with pyfork, and reloads when a file changes."
    requires_system_checks: list[str] = []  # noqa: RUF012 - made in `handle`, as in runserver

    def add_arguments(self, parser: CommandParser) -> None:
        """Runserver's arguments; ``--asgi`` is added, ``--insecure`` is refused."""
        add = parser.add_argument
        add("addrport", nargs="?", default="", help="Optional port number, or ipaddr:port.")
        add("-6", "--ipv6", action="store_true", help="Listens on an IPv6 address.")
        add("--nothreading", action="store_true", help="Serves one request at a time.")
        add("--noreload", action="store_true", help="Does not reload when a file changes.")
        add("--nostatic", action="store_true", help="Does not serve static files.")
        add("--insecure", action="store_true", help="Is refused: see --nostatic and WhiteNoise.")
        add("--skip-checks", action="store_true", help="Skips the system checks.")
        add("--asgi", action="store_true", help="Serves ASGI_APPLICATION.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check the project, then become the server."""
        if options["insecure"]:
            raise CommandError(
                "pyfork serves static files with DEBUG only; use WhiteNoise without it"
            )
        if not settings.DEBUG and not settings.ALLOWED_HOSTS:
            raise CommandError("you must set settings.ALLOWED_HOSTS if DEBUG is False")
        if not options["skip_checks"]:
            self.check(display_num_errors=True)
            self.check_migrations()
        _become(_words(options), no_color=options["no_color"])


def _words(options: dict[str, Any]) -> list[str]:
    """The command line of pyfork."""
    words = [_application(asgi=options["asgi"]), "--bind", _address(options)]
    if not options["noreload"]:
        words.append("--reload")
    if not options["nothreading"] and not options["asgi"]:
        words += ["--threads", str(_THREADS)]
    if options["nostatic"]:
        words.append("--no-static")
    project = os.path.dirname(os.path.abspath(sys.argv[0]))  # of manage.py
    ahead = [each for each in (options["pythonpath"], project) if each and each != os.getcwd()]
    return [*words, "--pythonpath", ",".join(ahead)] if ahead else words


def _application(*, asgi: bool) -> str:
    """``shop.wsgi:application``; where the settings name none, what Django makes by itself."""
    kind = "asgi" if asgi else "wsgi"
    dotted = getattr(settings, f"{kind.upper()}_APPLICATION", None)
    if not dotted:
        return f"django.core.{kind}:get_{kind}_application()"
    module, _, name = dotted.rpartition(".")
    return f"{module}:{name}"


def _address(options: dict[str, Any]) -> str:
    """The address that runserver understands by its argument, as pyfork writes it."""
    host, _, port = options["addrport"].rpartition(":")
    if not (port or "8000").isdecimal():
        raise CommandError(f'"{options["addrport"]}" is not a port number or address:port pair')
    host = "0.0.0.0" if host == "0" else host or ("[::1]" if options["ipv6"] else "127.0.0.1")
    return f"{host}:{port or 8000}"


def _become(words: list[str], *, no_color: bool) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    environ = {**os.environ, **({"NO_COLOR": "1"} if no_color else {})}
    os.execve(sys.executable, [sys.executable, "-m", "pyfork", *words], environ)
