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
        help="Reload when a file changes, and serve an error page while the application does not "
        "load. --timeout and --boot-timeout are 0 unless you give them. For development only: "
        "the page shows source code.",
    )
    reload_dir: tuple[str, ...] = setting(
        (),
        PATHS,
        flags="--reload-dir",
        repeat=True,
        help="Watch this directory. The default is the current one, --chdir and --pythonpath. May "
        "be repeated.",
    )
    reload_include: tuple[str, ...] = setting(
        (),
        _PATTERNS,
        flags="--reload-include",
        repeat=True,
        help="Watch such files too, for example '*.yaml'. pyfork always watches Python sources, "
        "templates, translations and .env files. May be repeated.",
    )
    reload_exclude: tuple[str, ...] = setting(
        (),
        _PATTERNS,
        flags="--reload-exclude",
        repeat=True,
        help="Do not watch such files or directories, for example 'tests'. May be repeated.",
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
        help="Show source code on the error page under this host name too. The page always shows "
        "it at localhost, names below it, and literal addresses. May be repeated.",
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
        help="Pages in the browser reload themselves after a reload, and swap changed style "
        "sheets. Implies --reload.",
    )
    editor: str = setting(
        "auto",
        TEXT,
        flags="--editor",
        help="The editor that opens links of the error page: vscode, vscodium, cursor, zed, "
        "pycharm, idea, sublime, textmate or emacs. Or a URL with {path}, {line} and "
        "{column}. auto is the editor in whose terminal you started pyfork.",
    )
    reload_delay: float = setting(
        0.025,
        SECONDS,
        flags="--reload-delay",
        help="The seconds without a further change before a reload begins.",
    )
    reload_engine: str = setting(
        "auto",
        choice("auto", "inotify", "poll"),
        flags="--reload-engine",
        help="The source of changes. With auto and inotify, the system reports them. With poll, "
        "pyfork checks the files twice a second, as a network file system needs.",
    )
