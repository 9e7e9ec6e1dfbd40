"""The server as a process of the system."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import MODE, PATH, TEXT, choice, optional


@group("Process")
class ProcessSettings:
    """The server as a process of the system."""

    upgrade_mode: str = setting(
        "auto",
        choice("auto", "spawn", "exec"),
        flags="--upgrade-mode",
        help="The way in which USR2 replaces pyfork itself. exec keeps the process, spawn starts "
        "another one beside it. auto is exec as process 1 or under systemd, else spawn.",
    )
    name: str | None = setting(
        None,
        optional(TEXT),
        flags="-n --name",
        help="The name of this server, in process titles and logs.",
    )
    pid: str | None = setting(
        None,
        optional(PATH),
        flags="-p --pid",
        help="Write the arbiter's process id to this file.",
    )
    control: str = setting(
        "auto",
        PATH,
        flags="--control",
        help="The path of the control socket, which pyfork status, reload, stop and scale use. "
        "auto is a file in the runtime directory, off is none. pyfork reads it only at the "
        "start.",
    )
    user: str | None = setting(
        None,
        optional(TEXT),
        flags="-u --user",
        help="Run workers as this user, by name or id.",
    )
    group: str | None = setting(
        None,
        optional(TEXT),
        flags="-g --group",
        help="Run workers as this group, by name or id.",
    )
    umask: int | None = setting(
        None,
        optional(MODE),
        flags="-m --umask",
        help="The file mode creation mask, in octal.",
    )
