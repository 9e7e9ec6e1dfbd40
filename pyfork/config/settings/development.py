"""Settings for development: reloading."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import BOOLEAN, PATHS, SECONDS, TEXT, ValueType, choice

_PATTERNS = ValueType("GLOB", "glob patterns, separated by commas", PATHS.read, PATHS.show)
_HOSTS = ValueType("NAME", "host names, separated by commas", PATHS.read, PATHS.show)


@group("Development")
class DevelopmentSettings:
    """Reloading during development."""

    reload: bool = setting(
        False,
        BOOLEAN,
        flags="--reload",
        help="Reload when a file changes, and answer with a page of what is wrong while the "
        "application does not load. No --timeout and --boot-timeout unless they are given. For "
        "development only: that page shows source code.",
    )
    reload_dir: tuple[str, ...] = setting(
        (),
        PATHS,
        flags="--reload-dir",
        repeat=True,
        help="Watch this directory; the default is the current one, --chdir and --pythonpath. "
        "May be repeated.",
    )
    reload_include: tuple[str, ...] = setting(
        (),
        _PATTERNS,
        flags="--reload-include",
        repeat=True,
        help="Watch files like this too, such as '*.yaml'. Python sources, templates, "
        "translations and .env files are watched anyway. May be repeated.",
    )
    reload_exclude: tuple[str, ...] = setting(
        (),
        _PATTERNS,
        flags="--reload-exclude",
        repeat=True,
        help="Do not watch files or directories like this, such as 'tests'. May be repeated.",
    )
    reload_extra_file: tuple[str, ...] = setting(
        (),
        PATHS,
        flags="--reload-extra-file",
        repeat=True,
        help="Watch this file too, wherever it is. May be repeated.",
    )
    reload_host: tuple[str, ...] = setting(
        (),
        _HOSTS,
        flags="--reload-host",
        repeat=True,
        help="Show source code on the error page under this host name too. It is shown at "
        "localhost, names below it, and literal addresses. May be repeated.",
    )
    static: bool = setting(
        True,
        BOOLEAN,
        flags="--static",
        off="--no-static",
        help="With --reload, serve the static files of django.contrib.staticfiles while DEBUG is "
        "on, as runserver does.",
    )
    live: bool = setting(
        False,
        BOOLEAN,
        flags="--live",
        help="Pages reload themselves in the browser after a reload, and swap style sheets that "
        "change. Implies --reload.",
    )
    editor: str = setting(
        "auto",
        TEXT,
        flags="--editor",
        help="Where links on the error page open a line: vscode, vscodium, cursor, zed, pycharm, "
        "idea, sublime, textmate, emacs, or a URL with {path}, {line} and {column}. auto: the "
        "editor in whose terminal pyfork was started.",
    )
    reload_delay: float = setting(
        0.025,
        SECONDS,
        flags="--reload-delay",
        help="For how many seconds no further file may change before a reload begins.",
    )
    reload_engine: str = setting(
        "auto",
        choice("auto", "inotify", "poll"),
        flags="--reload-engine",
        help="How changes are noticed: the system tells (auto, inotify), or the files are looked "
        "at twice a second (poll), as a network file system needs.",
    )
