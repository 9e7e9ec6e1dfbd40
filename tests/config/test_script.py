"""What the settings mean where a script is run."""

import pytest

from pyfork.config.command_line.arguments import parse
from pyfork.config.load import Loaded, load
from pyfork.config.script import for_script
from pyfork.errors import ConfigError


def loaded(*words: str, **environ: str) -> Loaded:
    return for_script(load(parse([*words, "server.py"]), environ, "/"))


@pytest.mark.parametrize(
    "words",
    [
        ("-b", ":8000"),
        ("-k", "thread"),
        ("--threads", "4"),
        ("--access-logfile", "-"),
        ("--certfile", "cert.pem"),
        ("--limit-request-line", "100"),
        ("--no-ws-compression",),
    ],
    ids=" ".join,
)
def test_an_option_that_means_nothing_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=f"{words[0]}: means nothing to pyfork run: a script"):
        loaded(*words)


def test_what_applications_may_share_is_noted() -> None:
    made = loaded(PYFORK_THREADS="4", PYFORK_WORKERS="3")
    assert made.config.workers == 3
    (note,) = made.notes
    assert note.startswith("PYFORK_THREADS: means nothing to pyfork run")


def test_the_port_of_a_platform_is_not_worth_a_word() -> None:
    made = loaded(PORT="8000", WEB_CONCURRENCY="2")
    assert made.config.bind == made.notes == ()
