"""gunicorn's configuration: every setting and flag of the installed gunicorn is accounted for."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import KNOWN_SETTINGS
from gunicorn.workers import SUPPORTED_WORKERS

from pyfork.config.command_line.arguments import parse
from pyfork.config.compat.classes import REPLACEMENTS
from pyfork.config.compat.gunicorn import GUNICORN
from pyfork.config.compat.rules import Effect
from pyfork.config.config import SETTINGS
from pyfork.config.load import Loaded, load
from pyfork.config.types import WORKER_CLASSES
from pyfork.errors import ConfigError

# A value that asks for something, where that of gunicorn's own kind would not.
ASKING: dict[str, str] = {
    "config": "'other.py'",
    "wsgi_app": "'shop:app'",
    "bind": "['127.0.0.1:1', 'unix:/run/x']",
    "worker_class": "'gthread'",
    "umask": "0o027",
    "user": "0",
    "group": "'daemon'",
    "raw_env": "['A=1', 'B=2']",
    "pidfile": "'/run/pid'",
    "chdir": "'/srv'",
    "pythonpath": "'/lib,/other'",
    "root_path": "'/api'",
    "forwarded_allow_ips": "'10.0.0.0/8'",
    "loglevel": "'DEBUG'",
    "logconfig_dict": "{'version': 1, 'loggers': {'gunicorn.error': {'level': 'INFO'}}}",
    "logconfig_json": "'log.json'",
    "reload_engine": "'poll'",
    "reload_extra_files": "['a.html']",
    "asgi_loop": "'asyncio'",
    "asgi_lifespan": "'off'",
    "http_parser": "'python'",
    "sendfile": "False",
    "certfile": "'cert.pem'",
    "keyfile": "'key.pem'",
    "ca_certs": "'ca.pem'",
    "cert_reqs": "2",
    "ciphers": "'ECDHE+AESGCM'",
    "proxy_protocol": "'v1'",
    "protocol": "'uwsgi'",
    "header_map": "'dangerous'",
    "http_protocols": "'h2,h1'",
    "http2_cleartext": "'both'",
    "secure_scheme_headers": "{'X-SSL': 'on'}",
    "suppress_ragged_eofs": "False",
    "dirty_apps": "['a:b']",
    "access_log_format": "'%(h)s'",
    "control_socket": "'/run/ctl'",
}
# Two names for one setting of ours: never both in one file.
TWINS = {"logconfig_json": "logconfig", "control_socket_disable": "control_socket"}


class Place:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def load(self, text: str, *argv: str, env: dict[str, str] | None = None) -> Loaded:
        (self.directory / "gunicorn.conf.py").write_text(textwrap.dedent(text))
        return load(parse(argv), env or {}, self.directory)

    def refusal(self, text: str, *argv: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(text, *argv)
        return str(caught.value)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def asking(setting: Any) -> str:
    """A line that gives the setting a value which asks for something."""
    name = setting.name
    if setting.section.endswith("Hooks"):
        count = len(SETTINGS[name].kind.expects.split(",")) if name in SETTINGS else 2
        return f"def {name}({', '.join('abcd'[:count])}): pass"
    if name not in ASKING:
        default = setting.default
        ASKING[name] = {bool: "True", int: "7"}.get(type(default), "'x'")
    return f"{name} = {ASKING[name]}"


def test_the_table_has_every_setting_and_no_other() -> None:
    assert {each.name for each in KNOWN_SETTINGS} == set(GUNICORN)


@pytest.mark.parametrize("name", GUNICORN)
def test_each_outcome_says_what_it_must(name: str) -> None:
    outcome = GUNICORN[name]
    if outcome.fate is Effect.HONOURED:
        assert outcome.to in SETTINGS
    else:
        assert outcome.says
        assert not outcome.to


@pytest.mark.parametrize("setting", KNOWN_SETTINGS, ids=lambda each: each.name)
def test_each_flag_is_understood(setting: Any, place: Place) -> None:
    """It is honoured or noted, or the refusal names it; and it takes what gunicorn's takes."""
    for flag in setting.cli or ():
        if setting.name in ("config", "check_config", "print_config"):
            continue  # our own, which mean the same
        switch = setting.action in ("store_true", "store_const")
        value = ASKING.get(setting.name, "'7'").strip("'[]").partition("'")[0]
        if setting.name == "umask":
            value = "027"
        words = [flag] if switch else [flag, value]
        outcome = GUNICORN[setting.name]
        if outcome.fate is Effect.REFUSED:
            refusal = place.refusal("", *words)
            assert refusal.startswith(f"{flag}: ")
            assert outcome.says in refusal
            continue
        arguments = parse([*words, "a:b"])
        assert str(arguments.given["app"].raw) == "a:b"
        noted = any(note.startswith(f"{flag}: ") for note in arguments.notes)
        if outcome.fate is Effect.HONOURED:
            assert arguments.given[outcome.to].origin == flag
            assert noted == bool(outcome.says)
            assert load(arguments, {}, place.directory).origins[outcome.to] == flag
        else:
            harmless = True in outcome.harmless and flag not in outcome.off
            assert noted or harmless


def test_a_file_with_every_setting_loads_and_accounts_for_each(place: Place) -> None:
    taken = [
        each
        for each in KNOWN_SETTINGS
        if GUNICORN[each.name].fate is not Effect.REFUSED and each.name not in TWINS
    ]
    off = "\n".join(
        f"{name} = {outcome.harmless[0]!r}"
        for name, outcome in GUNICORN.items()
        if outcome.fate is Effect.REFUSED and outcome.harmless
    )
    loaded = place.load("\n".join([*map(asking, taken), off]))
    origins = set(loaded.origins.values())
    for each in taken:
        outcome, origin = GUNICORN[each.name], f"gunicorn.conf.py: {each.name}"
        if outcome.fate is Effect.HONOURED:
            assert origin in origins
        else:
            assert f"{origin}: {outcome.says}" in loaded.notes
    assert loaded.config.umask == 0o027
    assert loaded.config.env == (("A", "1"), ("B", "2"))
    assert loaded.config.worker_class == "thread"
    assert loaded.config.dispatch == "reuseport"
    assert loaded.config.cert_reqs == "required"
    assert loaded.config.log_config_dict is not None
    assert loaded.config.log_config_dict["loggers"]["pyfork.error"] == {"level": "INFO"}


def test_its_own_defaults_ask_for_nothing_that_is_refused(place: Place) -> None:
    lines = [
        f"{each.name} = {each.default!r}"
        for each in KNOWN_SETTINGS
        if isinstance(each.default, str | int | bool | dict | list | None)
        and each.name not in ("config", "control_socket", "worker_class", "ssl_version")
        and not isinstance(each.default, type)
        and each.section != "SSL"
    ]
    place.load("\n".join(lines))


def test_all_that_is_refused_is_told_at_once(place: Place) -> None:
    refused = [each for each in KNOWN_SETTINGS if GUNICORN[each.name].fate is Effect.REFUSED]
    told = place.refusal("\n".join(map(asking, refused)))
    for each in refused:
        assert f"gunicorn.conf.py: {each.name}: {GUNICORN[each.name].says}" in told


@pytest.mark.parametrize(("theirs", "ours"), TWINS.items())
def test_two_names_for_one_setting_contradict(theirs: str, ours: str, place: Place) -> None:
    by_name = {each.name: each for each in KNOWN_SETTINGS}
    both = "\n".join([asking(by_name[ours]), asking(by_name[theirs])])
    assert "says the same as" in place.refusal(both)


def test_ours_and_theirs_in_one_file(place: Place) -> None:
    text = "keepalive = 5\ndrain_delay = 2\nunix_mode = 0o600\n_x = app = None\nenv = 'A=1'\n"
    own = place.directory / "pyfork.conf.py"
    own.write_text(text)
    config = place.load("").config
    assert (config.keep_alive, config.drain_delay, config.unix_mode) == (5.0, 2.0, 0o600)
    assert config.env == (("A", "1"),)
    own.write_text("keepalive = 5\nkeep_alive = 6\n")
    assert "says the same" in place.refusal("")
    own.unlink()
    loaded = place.load(text)
    assert (loaded.config.keep_alive, loaded.config.drain_delay, loaded.config.env) == (
        5.0,
        0.0,
        (),
    )
    assert [note for note in loaded.notes if "pyfork.conf.py" in note] == [
        f"gunicorn.conf.py: {name}: is pyfork's; it counts in a file such as pyfork.conf.py"
        for name in ("drain_delay", "unix_mode")
    ]


def test_gunicorns_file_is_the_last_that_is_looked_for(place: Place) -> None:
    loaded = place.load("workers = 3")
    assert (loaded.config.workers, loaded.origins["workers"]) == (3, "gunicorn.conf.py: workers")
    assert loaded.notes[0].startswith("gunicorn.conf.py is used, gunicorn's configuration")
    (place.directory / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert place.load("workers = 3").config.workers == 3
    (place.directory / "pyproject.toml").write_text("[tool.pyfork]\nworkers = 2\n")
    assert place.load("workers = 3").config.workers == 2
    (place.directory / "pyfork.conf.py").write_text("workers = 5\n")
    assert place.load("workers = 3").config.workers == 5
    (place.directory / "pyfork.toml").write_text("workers = 6\n")
    assert place.load("workers = 3").config.workers == 6


def test_its_variable_is_read_where_there_is_none_of_ours(place: Place) -> None:
    env = {"GUNICORN_CMD_ARGS": "--workers 4 --initgroups"}
    loaded = place.load("workers = 3", env=env)
    assert loaded.origins["workers"] == "GUNICORN_CMD_ARGS: --workers"
    assert "GUNICORN_CMD_ARGS is read, for there is no PYFORK_CMD_ARGS" in loaded.notes
    assert any(note.startswith("GUNICORN_CMD_ARGS: --initgroups: ") for note in loaded.notes)
    loaded = place.load("workers = 3", env=env | {"WEB_CONCURRENCY": "9"})
    assert loaded.config.workers == 4
    for ours in ("", "-t 5"):
        assert place.load("workers = 3", env=env | {"PYFORK_CMD_ARGS": ours}).config.workers == 3
    loaded = place.load("", "-w", "7", env=env)
    assert loaded.config.workers == 7
    with pytest.raises(ConfigError, match=r"^GUNICORN_CMD_ARGS: --spew: "):
        place.load("", env={"GUNICORN_CMD_ARGS": "--spew"})


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_a_worker_class_of_another_server_becomes_ours(name: str, place: Place) -> None:
    found = REPLACEMENTS[name]
    assert not found.to or found.to in WORKER_CLASSES
    if not found.to:
        assert place.refusal("", "-k", name) == f"-k: {name}: {found.says}"
        return
    loaded = place.load("", "-k", name)
    assert loaded.config.worker_class == found.to
    assert f"-k: {name} {found.says}" in loaded.notes
    for setting, value in found.settings:
        assert getattr(loaded.config, setting) == value


def test_gunicorns_own_worker_classes_are_known() -> None:
    for name, path in SUPPORTED_WORKERS.items():
        assert name in REPLACEMENTS or name in WORKER_CLASSES
        assert path in REPLACEMENTS


def test_a_worker_class_may_be_a_class(place: Place) -> None:
    text = """
        class UvicornWorker: pass
        UvicornWorker.__module__ = "uvicorn.workers"
        worker_class = UvicornWorker
    """
    assert place.load(text).config.worker_class == "asgi"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n1 / 0", "gunicorn.conf.py: line 2: ZeroDivisionError: division by zero"),
        ("x = = 1", "gunicorn.conf.py: line 1: syntax error: invalid syntax"),
        ("raise SystemExit('no')", "gunicorn.conf.py: line 1: SystemExit: no"),
        ("import nowhere_to_be", "ModuleNotFoundError: No module named 'nowhere_to_be'"),
        ("workers = 'many'", "gunicorn.conf.py: workers: 'many' is not a whole number"),
        ("when_ready = 3", "gunicorn.conf.py: when_ready: 3 is not a function of (server)"),
        ("def post_fork(a): pass", "is not a function of (server, worker)"),
        (
            "worker_class = 'gevent'",
            "gunicorn.conf.py: worker_class: gevent: there are no greenlets",
        ),
    ],
)
def test_what_is_wrong_is_told(text: str, message: str, place: Place) -> None:
    assert message in place.refusal(text)


def test_a_name_that_looks_misspelt_is_pointed_at(place: Place) -> None:
    loaded = place.load("acesslog = '-'\nx = 5\ncores = 2\n_workers = 3\nport = 8000\n")
    assert [note for note in loaded.notes if "no setting" in note] == [
        "gunicorn.conf.py: acesslog: no setting has this name; did you mean accesslog?"
    ]


def flags_of(settings: Sequence[Any]) -> set[str]:
    return {flag for each in settings for flag in each.cli or ()}


def test_no_flag_of_the_table_is_made_up() -> None:
    ours = {flag for each in GUNICORN.values() for flag in (*each.flags.split(), each.off)} - {""}
    assert ours <= flags_of(KNOWN_SETTINGS)
