"""Settings of ``pyfork run``."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import SECONDS, WORDS, choice


@group("Script")
class ScriptSettings:
    """The script."""

    script_args: tuple[str, ...] = setting(
        (),
        WORDS,
        flags="--script-args",
        help="Arguments of the script that pyfork run runs. Those behind -- replace them.",
    )
    ready_on: str = setting(
        "auto",
        choice("auto", "listen", "message", "delay"),
        flags="--ready-on",
        help="When a script is ready: listen, as soon as it listens; message, when it calls "
        "pyfork.cluster.ready(); delay, after --ready-delay; auto, as listen, but if it has not "
        "listened in 5 seconds, runs and has had no port before, as delay: it has no port.",
    )
    ready_delay: float = setting(
        1.0,
        SECONDS,
        flags="--ready-delay",
        help="With --ready-on delay, how long after its start a script counts as ready.",
    )
    exclusive: tuple[str, ...] = setting(
        (),
        WORDS,
        flags="--exclusive",
        repeat=True,
        help="A port, address or path that a script's processes do not share, such as 9100, "
        "127.0.0.1:9100 or 0 for every port that the kernel chooses. May be repeated.",
    )
