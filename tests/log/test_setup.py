"""The error log: its lines, its files, and what an application's own set-up does to it."""

import json
import logging
import logging.config
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pyfork.config.config import Config
from pyfork.errors import ConfigError
from pyfork.log import setup

error_log = logging.getLogger(setup.ERROR)

START = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] " + rf"\[{os.getpid()}\] "


def to_file(tmp_path: Path, **settings: object) -> Path:
    path = tmp_path / "error.log"
    setup.configure(Config(error_logfile=str(path), **settings))  # type: ignore[arg-type]
    return path


def test_line_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    setup.configure(Config())
    error_log.info("listening on %s", "http://127.0.0.1:8000")
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(START + r"\[INFO\] listening on http://127.0.0.1:8000\n", err)


def test_identity_stands_in_every_line(tmp_path: Path) -> None:
    path = to_file(tmp_path)
    setup.identify("arbiter")
    error_log.info("one")
    setup.identify("worker", 2, 5)
    error_log.warning("two")
    logging.getLogger("pyfork.somewhere.else").warning("three")
    one, two, three = path.read_text().splitlines()
    assert re.fullmatch(START + r"\[INFO\] \[arbiter\] one", one)
    assert re.fullmatch(START + r"\[WARNING\] \[worker 2 gen 5\] two", two)
    assert three.endswith("[WARNING] [worker 2 gen 5] three")


def test_identity_survives_a_new_configuration(tmp_path: Path) -> None:
    setup.identify("worker", 0, 1)
    path = to_file(tmp_path)
    to_file(tmp_path)
    error_log.info("once")
    assert [line.endswith("[worker 0 gen 1] once") for line in path.read_text().splitlines()] == [
        True
    ]


def test_level(tmp_path: Path) -> None:
    path = to_file(tmp_path, log_level="warning")
    error_log.info("no")
    error_log.warning("yes")
    assert path.read_text().count("\n") == 1
    to_file(tmp_path, log_level="debug")
    error_log.debug("now")
    assert "[DEBUG] now" in path.read_text()


def test_uvicorn_speaks_up_only_to_warn(tmp_path: Path) -> None:
    import uvicorn.config

    path = to_file(tmp_path)
    server = logging.getLogger("uvicorn.error")
    for level, text in ((logging.INFO, "Started server process"), (logging.ERROR, "it failed")):
        source = uvicorn.config.__file__
        server.handle(server.makeRecord("uvicorn.error", level, source, 1, text, (), None))
    assert path.read_text().endswith("[ERROR] it failed\n")
    assert path.read_text().count("\n") == 1


@pytest.mark.parametrize(
    "name", ["gunicorn.error", "gunicorn.access", "uvicorn.error", "uvicorn", "uvicorn.access"]
)
def test_what_an_application_tells_another_server(name: str, tmp_path: Path) -> None:
    path = to_file(tmp_path)
    setup.identify("worker", 0, 1)
    logging.getLogger(name).info("from the application")
    logging.getLogger(name).debug("more")
    assert path.read_text().endswith("[INFO] [worker 0 gen 1] from the application\n")
    assert path.read_text().count("\n") == 1


def test_flask_with_the_handlers_of_gunicorn(tmp_path: Path) -> None:
    """pallets/flask#2698: the level has to be told apart from NOTSET, and the handlers be there."""
    path = to_file(tmp_path)
    error = logging.getLogger("gunicorn.error")
    app = logging.Logger("app", error.level)
    app.handlers = error.handlers
    app.info("hello\n[forged]")
    assert path.read_text().endswith("[INFO] hello\n  [forged]\n")
    to_file(tmp_path, log_level="warning")
    assert logging.getLogger("gunicorn.error").level == logging.WARNING


def test_what_an_application_adds_to_the_access_log(tmp_path: Path) -> None:
    access = tmp_path / "access.log"
    path = to_file(tmp_path, access_logfile=str(access))
    logging.getLogger("gunicorn.access").info("GET /job\nforged")
    assert access.read_text() == "GET /job\n  forged\n"
    assert path.read_text() == ""


def test_control_characters_are_shown(tmp_path: Path) -> None:
    path = to_file(tmp_path)
    error_log.info("bad target %s", "\x1b[31m\r\x00\x9b€")
    assert "bad target \\x1b[31m\\x0d\\x00\\x9b€\n" in path.read_text()


def test_traceback_keeps_its_lines(tmp_path: Path) -> None:
    path = to_file(tmp_path)
    try:
        raise ValueError("x")
    except ValueError:
        error_log.exception("failed")
    lines = path.read_text().splitlines()
    assert lines[0].endswith("[ERROR] failed")
    assert lines[1] == "  Traceback (most recent call last):"
    assert lines[-1] == "  ValueError: x"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\r", r"\x0d"),
        ("\t", r"\x09"),
        ("\x7f", r"\x7f"),
        ("\x85", r"\x85"),
        ("\x9b31m", r"\x9b31m"),
        ("\u200e\u200f\u061c", r"\u200e\u200f\u061c"),
        ("\u202a\u202b\u202c\u202d\u202e", r"\u202a\u202b\u202c\u202d\u202e"),
        ("\u2066\u2067\u2068\u2069", r"\u2066\u2067\u2068\u2069"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ufeff\U000e0041", r"\ufeff\U000e0041"),
        ("\ud800", r"\ud800"),
        ("\n[2026-01-01] forged", "\n  [2026-01-01] forged"),
        ("h\xe9 \u05d0 \u20ac \U0001f600", "h\xe9 \u05d0 \u20ac \U0001f600"),
    ],
)
def test_what_came_from_outside_forges_no_line(tmp_path: Path, sent: str, shown: str) -> None:
    path = to_file(tmp_path)
    error_log.info("target %s|", sent)
    try:
        raise ValueError(sent)
    except ValueError:
        error_log.exception("failed")
    text = path.read_text(encoding="utf-8")
    assert f"target {shown}|\n" in text
    assert text.endswith(f"\n  ValueError: {shown}\n")
    records = [line for line in text.split("\n") if not line.startswith("  ")]
    assert len(records) == 3  # the last is empty


def test_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    path.write_text("before\n")
    to_file(tmp_path)
    error_log.info("after")
    assert path.read_text().startswith("before\n[")


def test_reopen_follows_rotation_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    setup.configure(Config(error_logfile="error.log", access_logfile="access.log"))
    monkeypatch.chdir("/")
    error_log.info("one")
    for name in ("error.log", "access.log"):
        (tmp_path / name).rename(tmp_path / f"{name}.1")
    error_log.info("two")
    setup.reopen()
    error_log.info("three")
    logging.getLogger(setup.ACCESS).info("line")
    assert (tmp_path / "error.log.1").read_text().count("\n") == 2
    assert (tmp_path / "error.log").read_text().endswith("three\n")
    assert (tmp_path / "access.log").read_text() == "line\n"


def test_reopen_reaches_the_applications_files(tmp_path: Path) -> None:
    setup.configure(Config())
    path = tmp_path / "app.log"
    handler = logging.FileHandler(path)
    logger = logging.getLogger("test-app")
    logger.addHandler(handler)
    try:
        path.rename(tmp_path / "app.log.1")
        setup.reopen()
        logger.error("new")
        assert path.read_text() == "new\n"
    finally:
        logger.removeHandler(handler)
        handler.close()


def test_file_that_cannot_be_reopened_stays_in_use(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    path = to_file(directory)
    moved = directory.rename(tmp_path / "gone")
    setup.reopen()
    error_log.info("still here")
    lines = (moved / "error.log").read_text().splitlines()
    assert f"cannot reopen log file {path}: No such file" in lines[0]
    assert lines[1].endswith("still here")


@pytest.mark.parametrize("setting", ["error_logfile", "access_logfile"])
def test_file_that_cannot_be_opened(tmp_path: Path, setting: str) -> None:
    path = to_file(tmp_path)
    flag = f"--{setting.replace('_', '-')}"
    with pytest.raises(ConfigError, match=f"{flag}: cannot open .*No such file"):
        setup.configure(Config(**{setting: str(tmp_path / "missing" / "x.log")}))  # type: ignore[arg-type]
    error_log.info("the old set-up is in force")
    assert "in force" in path.read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")
def test_rotated_file_belongs_to_the_workers_user_again(tmp_path: Path) -> None:
    path = to_file(tmp_path, user="12345", group="54321")
    for turn in range(2):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (12345, 54321)
        path.rename(tmp_path / f"old.{turn}")
        setup.reopen()


@pytest.mark.parametrize("setting", ["user", "group"])
def test_unknown_owner_of_the_log(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigError, match=f"--{setting}: {setting} 'nobody-such' is not known"):
        to_file(tmp_path, **{setting: "nobody-such"})


def test_full_disk_is_told_once_and_raises_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    setup.configure(Config(error_logfile="/dev/full"))
    error_log.info("one")
    error_log.info("two")
    assert capfd.readouterr().err == "pyfork: cannot write to /dev/full: No space left on device\n"


def test_log_survives_the_set_up_of_an_application(tmp_path: Path) -> None:
    path = to_file(tmp_path)
    logging.config.dictConfig({"version": 1})
    setup.enable_loggers()
    error_log.info("heard")
    assert path.read_text().endswith("heard\n")


def test_lines_of_many_processes_do_not_mix(tmp_path: Path) -> None:
    path = to_file(tmp_path)
    script = textwrap.dedent("""
        import logging, sys
        from pyfork.config.config import Config
        from pyfork.log import setup
        setup.configure(Config(error_logfile=sys.argv[1]))
        for _ in range(200):
            logging.getLogger("pyfork.error").info(sys.argv[2] * 3000)
    """)
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(path), letter]) for letter in "abcd"
    ]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0, 0]
    lines = path.read_text().splitlines()
    assert len(lines) == 800
    assert all(re.search(r"\] (a{3000}|b{3000}|c{3000}|d{3000})$", line) for line in lines)


@pytest.mark.parametrize("length", [3000, 5000])  # up to PIPE_BUF a write is all or nothing
def test_full_pipe_that_does_not_block_loses_nothing_uncounted(length: int) -> None:
    script = textwrap.dedent("""
        import logging, os, sys
        from pyfork.config.config import Config
        from pyfork.log import setup
        os.set_blocking(2, False)
        setup.configure(Config())
        for number in range(500):
            logging.getLogger("pyfork.error").info("x" * int(sys.argv[1]))
    """)
    command = [sys.executable, "-c", script, str(length)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as writer:
        assert writer.stderr is not None
        text = writer.stderr.read()
    lines = [line.rpartition(b"] ")[2] for line in text.splitlines()]
    lost = [int(line.split()[0]) for line in lines if line.endswith(b"stderr took no more")]
    assert lines.count(b"x" * length) == len(lines) - len(lost) == 500 - sum(lost)


INI = """
[loggers]
keys = root, pyfork
[handlers]
keys = file
[formatters]
keys = line
[logger_root]
handlers =
[logger_pyfork]
qualname = pyfork
handlers = file
level = INFO
[handler_file]
class = FileHandler
args = ({path!r},)
formatter = line
[formatter_line]
format = %(name)s %(slot)s %(message)s
"""

TOML = """
[formatters.line]
format = "%(name)s %(slot)s %(message)s"
[handlers.file]
class = "logging.FileHandler"
filename = {path!r}
formatter = "line"
[loggers.pyfork]
handlers = ["file"]
level = "INFO"
"""


@pytest.mark.parametrize("kind", ["ini", "toml", "json"])
def test_log_config_takes_the_place_of_ours(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    import tomllib

    out = str(tmp_path / "out.log")
    toml = TOML.format(path=out)
    text = {"ini": INI.format(path=out), "toml": toml, "json": json.dumps(tomllib.loads(toml))}
    path = tmp_path / f"logging.{kind}"
    path.write_text(text[kind])
    setup.configure(Config())
    setup.configure(Config(log_config=str(path)))
    setup.identify("worker", 3, 1)
    error_log.info("hello")
    logging.getLogger(setup.ACCESS).info("GET /")
    setup.finish()
    assert Path(out).read_text() == "pyfork.error 3 hello\npyfork.access 3 GET /\n"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("none.ini", None, "No such file"),
        ("a.ini", "hello", "no logging set-up"),
        ("a.ini", "[loggers]\nkeys = root", "'formatters' is missing"),
        ("a.json", "{", "Expecting property name"),
        ("a.json", "[]", "not an object"),
        ("a.toml", "x =", "Invalid value"),
        ("a.toml", "[handlers.x]\nclass = 'nosuch.Handler'", "handler 'x': Cannot resolve"),
        ("a.toml", "version = 7", "Unsupported version: 7"),
    ],
)
def test_bad_log_config(tmp_path: Path, name: str, text: str | None, why: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    log = to_file(tmp_path)
    with pytest.raises(ConfigError) as refused:
        setup.configure(Config(log_config=str(path)))
    error_log.info("the old set-up is in force")
    assert log.read_text().endswith("in force\n")
    assert str(refused.value).startswith(f"--log-config: {path}")
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)
