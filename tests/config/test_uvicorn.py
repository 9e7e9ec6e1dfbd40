"""uvicorn's command line: every option of the installed uvicorn is accounted for."""

from pathlib import Path
from typing import Any

import pytest
from uvicorn.main import main

from pyfork.config.command_line.arguments import parse
from pyfork.config.compat.gunicorn import GUNICORN
from pyfork.config.compat.rules import Effect
from pyfork.config.compat.uvicorn import UVICORN
from pyfork.config.config import SETTINGS, Config
from pyfork.config.load import Loaded, load
from pyfork.errors import ConfigError

OPTIONS: list[Any] = list(main.params)
VALUES = {
    "BOOL": "true",
    "INT": "1",
    "FLOAT": "1",
}
OF = {
    "lifespan": "on",
    "interface": "asgi3",
    "http": "h11",
    "loop": "uvloop",
    "ws": "websockets",
    "log_level": "trace",
    "root_path": "/api",
    "forwarded_allow_ips": "10.0.0.0/8",
    "env_file": "env",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "env").write_text("A=1\n")
    return tmp_path


def understood(directory: Path, *argv: str) -> Loaded:
    return load(parse(argv), {}, directory)


def test_the_table_has_every_option() -> None:
    assert {each.name for each in OPTIONS} <= set(UVICORN)


@pytest.mark.parametrize("name", UVICORN)
def test_each_outcome_says_what_it_must(name: str) -> None:
    outcome = UVICORN[name]
    if outcome.fate is Effect.HONOURED:
        assert outcome.to in SETTINGS
    else:
        assert outcome.says


@pytest.mark.parametrize(
    "option",
    [each for each in OPTIONS if each.name not in ("app", "version")],
    ids=lambda o: o.name,
)
def test_each_flag_is_understood(option: Any, directory: Path) -> None:
    outcome = UVICORN[option.name]
    value = OF.get(option.name) or VALUES.get(option.type.name.upper(), "1")
    if option.type.name == "boolean":
        value = "true"
    for flag in (*option.opts, *option.secondary_opts):
        words = [flag] if option.is_flag else [flag, value]
        if outcome.fate is Effect.REFUSED:
            with pytest.raises(ConfigError, match=f"^{flag}: .*{outcome.says[:20]}"):
                understood(directory, *words)
            continue
        loaded = understood(directory, "app:app", *words)
        assert loaded.config.app == "app:app"
        if outcome.fate is Effect.HONOURED and flag != "--proxy-headers":
            assert loaded.origins[outcome.to] == flag
        elif outcome.fate is Effect.IDLE:
            harmless = True in outcome.harmless and flag != outcome.off
            assert harmless or f"{flag}: {outcome.says}" in loaded.notes


def test_a_uvicorn_command_line_is_understood(directory: Path) -> None:
    argv = (
        "shop:app --host 0.0.0.0 --port 9000 --workers 4 --factory --root-path /api --ws none "
        "--lifespan on --timeout-keep-alive 5 --timeout-graceful-shutdown 7 --no-server-header "
        "--limit-max-requests 100 --limit-concurrency 50 --access-log --no-proxy-headers "
        "--app-dir src --log-level trace --interface asgi3 --loop none --env-file env"
    )
    assert understood(directory, *argv.split()).config == Config(
        app="shop:app",
        bind=("0.0.0.0:9000",),
        workers=4,
        factory=True,
        root_path="/api",
        ws="none",
        lifespan="on",
        keep_alive=5.0,
        graceful_timeout=7.0,
        server_header=False,
        max_requests=100,
        worker_connections=50,
        access_logfile="-",
        forwarded_allow_ips=(),
        pythonpath=("src",),
        log_level="debug",
        interface="asgi",
        env_file="env",
        env=(("A", "1"),),
    )


@pytest.mark.parametrize(
    ("words", "bind"),
    [
        ("--port 1", "127.0.0.1:1"),
        ("--host ::", "[::]:8000"),
        ("--host ::1 --port 2", "[::1]:2"),
        ("--host localhost", "localhost:8000"),
        ("--uds /run/a.sock", "unix:/run/a.sock"),
        ("--fd 3", "fd://3"),
    ],
)
def test_an_address_is_put_together(words: str, bind: str, directory: Path) -> None:
    assert understood(directory, *words.split()).config.bind == (bind,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--host a --uds /b", "--host and --uds: one of them"),
        ("--host a -b :1", "--host: says the same as -b"),
        ("--port x", "--port: bind address '127.0.0.1:x'"),
        ("--limit-max-requests x", "--limit-max-requests: 'x' is not a whole number"),
        ("--hots a", "--hots: no such option; did you mean --host?"),
    ],
)
def test_a_mistake_is_named(words: str, message: str, directory: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        understood(directory, *words.split())
    assert message in str(caught.value)


def test_no_flag_means_two_things() -> None:
    """What both servers have comes to the same, and what is ours is nobody else's."""
    ours = {flag for each in SETTINGS.values() for flag in (*each.flags, each.off) if flag}
    tables = [
        {flag: each.to for each in table.values() for flag in (*each.flags.split(), each.off)}
        for table in (GUNICORN, UVICORN)
    ]
    for table in tables:
        table.pop("", None)
        assert not ours & table.keys()
    for flag in tables[0].keys() & tables[1].keys():
        assert tables[0][flag] == tables[1][flag]


def test_a_file_of_variables(directory: Path) -> None:
    (directory / "env").write_text(
        "# comment\n\nexport A = 1\nB='x # y'  # z\nC=\"a=b\"\nD=plain value # rest\nE=\n"
    )
    loaded = understood(directory, "--env-file", "env", "-e", "A=2")
    assert loaded.config.env == (
        ("A", "1"),
        ("B", "x # y"),
        ("C", "a=b"),
        ("D", "plain value"),
        ("E", ""),
        ("A", "2"),
    )
    with pytest.raises(ConfigError, match="none cannot be read"):
        understood(directory, "--env-file", "none")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nB\n", 2),
        ("# no\n\n\nA='x\n\nB=2\n", 4),
        ("A=1\n=3\n", 2),
        ("A='x'y\n", 1),
        ("'A=b'=1\n", 1),
        ("A=1\n\n\nB=a\0b\n", 4),
    ],
)
def test_a_line_that_is_no_variable(text: str, line: int, directory: Path) -> None:
    """python-dotenv alone would pass over it."""
    (directory / "env").write_text(text)
    with pytest.raises(ConfigError, match=f"env, line {line}: it is not NAME=VALUE"):
        understood(directory, "--env-file", "env")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1\nB=${A}2\n", {"A": "1", "B": "12"}),
        ("B=${OUTSIDE}/${NOWHERE:-else}\n", {"B": "out/else"}),
        ("B='${OUTSIDE}'\n", {"B": "out"}),
        ("B=$OUTSIDE\n", {"B": "$OUTSIDE"}),
        ("OUTSIDE=in\nB=${OUTSIDE}\n", {"OUTSIDE": "in", "B": "in"}),
        ('B="a\\tb\\n\\"c\\""\n', {"B": 'a\tb\n"c"'}),
        ("B='a\\tb\\'s'\n", {"B": "a\\tb's"}),
        ('KEY="-----BEGIN\nabc\n-----END"\nB=2\n', {"KEY": "-----BEGIN\nabc\n-----END", "B": "2"}),
        ("\ufeffA=\u00e9\r\nB=2\r\n", {"A": "\u00e9", "B": "2"}),
    ],
)
def test_a_file_of_variables_as_python_dotenv_reads_it(
    text: str, found: dict[str, str], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kludex/uvicorn#470"""
    monkeypatch.setenv("OUTSIDE", "out")
    (directory / "env").write_bytes(text.encode())
    loaded = understood(directory, "--env-file", "env")
    assert dict(loaded.config.env) == found
