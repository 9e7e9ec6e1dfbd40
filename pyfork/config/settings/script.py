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
        help="The arguments of the script that pyfork run runs. Arguments after -- replace them.",
    )
    ready_on: str = setting(
        "auto",
        choice("auto", "listen", "message", "delay"),
        flags="--ready-on",
        help="The moment when a script is ready. listen: it listens. message: it calls "
        "pyfork.cluster.ready(). delay: --ready-delay is over. auto: as listen. A script that "
        "runs for 5 seconds without a port, and had none before, counts as ready.",
    )
    ready_delay: float = setting(
        1.0,
        SECONDS,
        flags="--ready-delay",
        help="With --ready-on delay, the time from the start of a script until it counts as ready.",
    )
    exclusive: tuple[str, ...] = setting(
        (),
        WORDS,
        flags="--exclusive",
        repeat=True,
        help="A port, address or path that the processes of a script do not share, such as 9100 or "
        "127.0.0.1:9100. 0 stands for every port that the kernel chooses. May be repeated.",
    )
