"""Settings about the served application."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import APP, BOOLEAN, PATH, PATHS, ROOT_PATH, VARIABLES, choice, optional


@group("Application")
class ApplicationSettings:
    """The application."""

    app: str | None = setting(
        None,
        optional(APP),
        flags="",
        help="The WSGI or ASGI application: module, module:name, module:name.sub or "
        "module:factory().",
    )
    factory: bool = setting(
        False,
        BOOLEAN,
        flags="--factory",
        help="The name is a function that returns the application.",
    )
    interface: str = setting(
        "auto",
        choice("auto", "wsgi", "asgi", also={"asgi2": "asgi", "asgi3": "asgi"}),
        flags="--interface",
        help="The interface of the application; auto detects it.",
    )
    lifespan: str = setting(
        "auto",
        choice("auto", "on", "off"),
        flags="--lifespan",
        help="The ASGI lifespan. With on, an application without one is an error; auto accepts it.",
    )
    root_path: str = setting(
        "",
        ROOT_PATH,
        flags="--root-path",
        help="The path below which a proxy serves the application (SCRIPT_NAME, root_path). For "
        "WSGI, the default is SCRIPT_NAME of the environment or of --env.",
    )
    chdir: str | None = setting(
        None,
        optional(PATH),
        flags="--chdir",
        help="Change to this directory before the application is loaded.",
    )
    pythonpath: tuple[str, ...] = setting(
        (),
        PATHS,
        flags="--pythonpath",
        help="Directories, separated by commas, to search for modules first.",
    )
    env: tuple[tuple[str, str], ...] = setting(
        (),
        VARIABLES,
        flags="-e --env",
        repeat=True,
        help="Set an environment variable for the application. May be repeated.",
    )
    env_file: str | None = setting(
        None,
        optional(PATH),
        flags="--env-file",
        help="Set the environment variables of this file for the application, as python-dotenv "
        "reads it: NAME=VALUE in each line, ${NAME}, quotes, escapes. --env overrides them.",
    )
