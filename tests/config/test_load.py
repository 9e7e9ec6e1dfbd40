"""The four sources: who outranks whom, where a value came from, what a mistake is told."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pyfork.config.command_line.arguments import parse, usage
from pyfork.config.config import SETTINGS, Config
from pyfork.config.load import Loaded, load, table
from pyfork.errors import ConfigError


class Place:
    """A directory to start in, with an environment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def load(self, *argv: str, env: Mapping[str, str] | None = None) -> Loaded:
        return load(parse(argv), env or {}, self.directory)

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def refusal(self, *argv: str, env: Mapping[str, str] | None = None) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(*argv, env=env)
        return str(caught.value)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_by_default_everything_is_default(place: Place) -> None:
    loaded = place.load()
    assert loaded.config == Config()
    assert dict(loaded.origins) == dict.fromkeys(SETTINGS, "default")


def test_each_source_outranks_the_ones_before(place: Place) -> None:
    place.write("pyfork.toml", "workers = 2\n")
    env = {"WEB_CONCURRENCY": "3"}
    steps: list[tuple[tuple[str, ...], dict[str, str], int, str]] = [
        ((), {}, 2, "pyfork.toml: workers"),
        ((), env, 3, "WEB_CONCURRENCY"),
        ((), env := env | {"PYFORK_WORKERS": "4"}, 4, "PYFORK_WORKERS"),
        ((), env := env | {"PYFORK_CMD_ARGS": "-w 5"}, 5, "PYFORK_CMD_ARGS: -w"),
        (("--workers=6",), env, 6, "--workers"),
    ]
    for argv, environ, workers, origin in steps:
        loaded = place.load(*argv, env=environ)
        assert (loaded.config.workers, loaded.origins["workers"]) == (workers, origin)


@pytest.mark.parametrize("argv", [["-w", "4"], ["-w4"], ["--workers=4"], ["--workers", "4"]])
def test_flags_are_written_as_one_likes(place: Place, argv: Sequence[str]) -> None:
    assert place.load(*argv, "a:b").config == Config(app="a:b", workers=4)


def test_a_gunicorn_command_line_is_understood(place: Place) -> None:
    argv = (
        "myapp:app -w 4 -k gthread --threads 2 -b 0.0.0.0:80 -b unix:/run/a --umask 007 -t 60 "
        "--max-requests 1000 --max-requests-jitter 50 --limit-request-field_size 16380 "
        "--access-logfile - --log-file /log -e A=1 -e B=2 --forwarded-allow-ips * -n shop"
    )
    assert place.load(*argv.split()).config == Config(
        app="myapp:app",
        workers=4,
        worker_class="thread",
        threads=2,
        bind=("0.0.0.0:80", "unix:/run/a"),
        umask=0o007,
        unix_mode=0o660,
        timeout=60.0,
        max_requests=1000,
        max_requests_jitter=50,
        limit_request_field_size=16380,
        access_logfile="-",
        error_logfile="/log",
        env=(("A", "1"), ("B", "2")),
        forwarded_allow_ips="*",
        name="shop",
    )


def test_the_umask_decides_on_unix_sockets_unless_told(place: Place) -> None:
    loaded = place.load("--umask", "027")
    assert (loaded.config.unix_mode, loaded.origins["unix_mode"]) == (0o640, "--umask")
    assert place.load("--umask", "027", "--unix-mode", "600").config.unix_mode == 0o600


def test_booleans_switch_on_and_off(place: Place) -> None:
    place.write("pyfork.toml", "factory = true\nserver-header = false\n")
    assert place.load().config == Config(factory=True, server_header=False)
    assert place.load("--server-header").config.server_header
    assert place.load("--no-server-header").origins["server_header"] == "--no-server-header"
    assert not place.load(env={"PYFORK_FACTORY": "off"}).config.factory


def test_port_is_where_a_platform_wants_us(place: Place) -> None:
    loaded = place.load(env={"PORT": "5000"})
    assert (loaded.config.bind, loaded.origins["bind"]) == (("0.0.0.0:5000",), "PORT")
    assert place.load(env={"PORT": "5000", "PYFORK_BIND": ":1"}).config.bind == (":1",)
    assert place.load("-b", ":2", env={"PORT": "5000"}).config.bind == (":2",)


def test_an_empty_variable_is_not_set(place: Place) -> None:
    assert place.load(env={"WEB_CONCURRENCY": "", "PYFORK_NAME": ""}).config == Config()


def test_an_empty_flag_takes_back(place: Place) -> None:
    place.write("pyfork.toml", 'pid = "/run/pid"\n')
    assert place.load("--pid", "").config.pid is None


def test_a_file_has_toml_types(place: Place) -> None:
    place.write(
        "pyfork.toml",
        'app = "a:b"\ntimeout = 1.5\nbind = [":1", ":2"]\nmax-memory = "512M"\n'
        'umask = "022"\nenv = { A = "1" }\n',
    )
    config = place.load().config
    assert (config.app, config.timeout, config.bind) == ("a:b", 1.5, (":1", ":2"))
    assert (config.max_memory, config.umask, config.env) == (512 << 20, 0o22, (("A", "1"),))


@pytest.mark.parametrize(
    "text",
    [
        "[ tool . pyfork ]\nworkers = 3",
        "[tool]\npyfork.workers = 3",
        "[tool] # ours\npyfork = { workers = 3 }",
        "tool.pyfork.workers = 3",
        "tool = { pyfork = { workers = 3 } }",
        "[tool.other]\nx = 1\n['tool'.\"pyfork\"]\nworkers = 3",
    ],
)
def test_pyproject_is_read_however_the_table_is_written(place: Place, text: str) -> None:
    place.write("pyproject.toml", text)
    assert place.load().config.workers == 3


def test_a_pyproject_without_a_word_of_ours_is_not_parsed(place: Place) -> None:
    place.write("pyproject.toml", "[tool.other]\nnot TOML")
    assert place.load().config == Config()


def test_pyproject_is_read_where_there_is_no_pyfork_toml(place: Place) -> None:
    place.write("pyproject.toml", '[project]\nname = "x"\n')
    assert place.load().config == Config()
    place.write("pyproject.toml", "[tool.pyfork]\nworkers = 3\n")
    loaded = place.load()
    assert (loaded.config.workers, loaded.origins["workers"]) == (3, "pyproject.toml: workers")
    place.write("pyfork.toml", "threads = 2\n")
    assert place.load().config == Config(threads=2)


def test_config_names_another_file(place: Place) -> None:
    place.write("pyfork.toml", "workers = 2\n")
    place.write("other.toml", "threads = 3\n")
    place.write("pyproject.toml", "[tool.pyfork]\nbacklog = 4\n")
    assert place.load("-c", "other.toml").config == Config(threads=3)
    assert place.load("-c", "pyproject.toml").config == Config(backlog=4)
    assert place.load(env={"PYFORK_CMD_ARGS": "-c other.toml"}).config == Config(threads=3)


def test_a_reload_sees_the_file_anew(place: Place) -> None:
    arguments = parse(["-w", "2"])
    assert load(arguments, {}, place.directory).config == Config(workers=2)
    place.write("pyfork.toml", "threads = 4\nworkers = 9\n")
    assert load(arguments, {}, place.directory).config == Config(workers=2, threads=4)


def test_what_is_replaced_is_not_judged(place: Place) -> None:
    assert place.load("-w", "2", env={"WEB_CONCURRENCY": "many"}).config.workers == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workrs = 2", "pyfork.toml: workrs: no such setting; did you mean workers?"),
        ("keep-alives = 2", "pyfork.toml: keep-alives: no such setting; did you mean keep_alive?"),
        ("xyzzy = 2", "pyfork.toml: xyzzy: no such setting"),
        ("workers = 0", "pyfork.toml: workers: 0 is not a whole number of at least 1, or auto"),
        ("umask = 22", "pyfork.toml: umask: 22 is not octal digits as text, such as 022"),
        ("max-requests = 1\nmax_requests = 2", "max_requests: is there twice, with - and with _"),
        ("workers =", "pyfork.toml: is not TOML: "),
    ],
)
def test_a_mistake_in_the_file_is_named(place: Place, text: str, message: str) -> None:
    place.write("pyfork.toml", text)
    assert message in place.refusal()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("none.toml", None, "none.toml: cannot be read: No such file or directory"),
        ("pyproject.toml", "[project]", "pyproject.toml: has no [tool.pyfork] table"),
        ("pyproject.toml", "tool.pyfork = 3", "pyproject.toml: tool.pyfork is not a table"),
        ("pyproject.toml", "tool = 3", "pyproject.toml: has no [tool.pyfork] table"),
    ],
)
def test_a_wrong_file_is_named(place: Place, file: str, text: str | None, message: str) -> None:
    if text is not None:
        place.write(file, text)
    assert message in place.refusal("--config", file)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            {"PYFORK_WORKRS": "2"},
            "PYFORK_WORKRS: no such variable; did you mean PYFORK_WORKERS?",
        ),
        ({"PYFORK_PORT": "80"}, "PYFORK_PORT: no such variable"),
        ({"WEB_CONCURRENCY": "x"}, "WEB_CONCURRENCY: 'x' is not a whole number"),
        ({"PORT": "x"}, "PORT: bind address '0.0.0.0:x'"),
        ({"PYFORK_CMD_ARGS": "--workrs 2"}, "PYFORK_CMD_ARGS: --workrs: no such option; did you"),
        ({"PYFORK_CMD_ARGS": "-w x"}, "PYFORK_CMD_ARGS: -w: 'x' is not"),
        ({"PYFORK_CMD_ARGS": "-w '"}, "PYFORK_CMD_ARGS: No closing quotation"),
        ({"PYFORK_CMD_ARGS": "--print-config"}, "--print-config belongs on the command line"),
    ],
)
def test_a_mistake_in_the_environment_is_named(
    place: Place, env: dict[str, str], message: str
) -> None:
    assert message in place.refusal(env=env)


def test_variables_of_pyfork_itself_and_of_others_are_let_be(place: Place) -> None:
    env = {
        "PYFORK_WORKER": "0",
        "PYFORK_PORT": "tcp://10.0.0.1:80",
        "PYFORK_SERVICE_HOST": "10.0.0.1",
        "PYFORK_WEB_PORT_8000_TCP_ADDR": "10.0.0.1",
        "MY_PYFORK_THING": "x",
    }
    assert place.load(env=env).config == Config()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--workrs", "2"), "--workrs: no such option; did you mean --workers?"),
        (("--no-server-heade",), "did you mean --no-server-header?"),
        (("-w",), "-w: needs a value: -w N|auto"),
        (("-w", "0"), "-w: '0' is not a whole number of at least 1, or auto"),
        (("--timeout=-1",), "--timeout: '-1' is not a number of seconds, 0 or more"),
        (
            ("-k", "greenlet"),
            "-k: 'greenlet' is not auto, sync, thread, asgi, uvicorn or the dotted",
        ),
        (("-e", "A=1", "-e", "B"), "-e: 'A=1, B' is not NAME=VALUE"),
        (("-b", "http://x"), "-b: bind address 'http://x'"),
        (("a:b", "c:d"), "c:d: one argument too many"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(
    place: Place, argv: Sequence[str], message: str
) -> None:
    assert message in place.refusal(*argv)


def test_the_table_has_a_line_for_each_setting(place: Place) -> None:
    place.write("pyfork.toml", "workers = 2\n")
    lines = [line.split() for line in table(place.load("a:b", "-t", "5")).splitlines()]
    assert [line[0] for line in lines] == list(SETTINGS)
    assert ["app", "a:b", "APP"] in lines
    assert ["workers", "2", "pyfork.toml:", "workers"] in lines
    assert ["timeout", "5", "-t"] in lines
    assert ["chdir", "none", "default"] in lines


def test_the_usage_has_every_flag_and_group() -> None:
    text = usage()
    for each in SETTINGS.values():
        assert each.python or f"{each.group}:" in text
        assert all(flag in text for flag in each.flags)
