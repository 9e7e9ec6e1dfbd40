"""The access log: each atom, what a client may not do to it, JSON, and refusals of a format."""

import base64
import json
import os
import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfork.config.config import Config
from pyfork.errors import ConfigError
from pyfork.log import setup
from pyfork.log.access import LONGEST, MOST, AccessLog
from pyfork.log.access_format import Clock, compile_format


@dataclass
class Kept:
    """A request line, a block of fields, or the head that they make."""

    log_cache: Any = None


@dataclass(kw_only=True)
class Entry:
    """A request that was answered; each has a head of its own."""

    client: str
    method: str
    target: str
    version: str
    status: int
    length: int
    elapsed: float
    scheme: str
    request_headers: Any
    response_headers: Any
    environ: Any = None
    queue_time: float | None = None
    line: Any = field(default_factory=Kept, init=False)
    block: Any = field(default_factory=Kept, init=False)
    head: Any = field(default_factory=Kept, init=False)


ENTRY = Entry(
    client="192.0.2.7",
    method="GET",
    target="/caf%C3%A9?a=1&b=2",
    version="1.1",
    status=200,
    length=512,
    elapsed=1.234567,
    scheme="http",
    request_headers=[
        (b"host", b"x"),
        (b"referer", b"http://r/"),
        (b"user-agent", b"curl/8"),
        (b"authorization", b"Basic " + base64.b64encode(b"ann:secret")),
    ],
    response_headers=[(b"Content-Type", b"text/plain")],
    environ={"wsgi.url_scheme": "http", "REMOTE_PORT": 4711},
    queue_time=0.25,
)
BARE = replace(
    ENTRY, queue_time=None, client="", target="*", length=0, request_headers=[], environ=None
)


@pytest.mark.parametrize(
    ("atom", "full", "bare"),
    [
        ("%(h)s", "192.0.2.7", "-"),
        ("%(l)s", "-", "-"),
        ("%(u)s", "ann", "-"),
        ("%(r)s", "GET /caf%C3%A9?a=1&b=2 HTTP/1.1", "GET * HTTP/1.1"),
        ("%(m)s", "GET", "GET"),
        ("%(U)s", "/caf%C3%A9", "*"),
        ("%(q)s", "a=1&b=2", ""),
        ("%(H)s", "HTTP/1.1", "HTTP/1.1"),
        ("%(s)s", "200", "200"),
        ("%(B)s", "512", "0"),
        ("%(b)s", "512", "-"),
        ("%(f)s", "http://r/", "-"),
        ("%(a)s", "curl/8", "-"),
        ("%(T)s", "1", "1"),
        ("%(M)d", "1234", "1234"),
        ("%(D)9d", "  1234567", "  1234567"),
        ("%(L)s", "1.234567", "1.234567"),
        ("%(Q)s", "0.250000", "-"),
        pytest.param("%(p)s", f"<{os.getpid()}>", f"<{os.getpid()}>", id="pid"),
        ("%({Host}i)s", "x", "-"),
        ("%({content-type}o)s", "text/plain", "text/plain"),
        ("%({x-missing}o)s", "-", "-"),
        ("%({REMOTE_PORT}e)s", "4711", "-"),
        ("100%% %(m)s é", "100% GET é", "100% GET é"),
    ],
)
def test_each_atom(atom: str, full: str, bare: str) -> None:
    render = compile_format(atom)
    entry, other = replace(ENTRY), replace(BARE)
    # The second time from what was made of line and block, the third of the head.
    for _ in range(3):
        assert render(entry) == full
        assert render(other) == bare


def test_default_format_is_gunicorns() -> None:
    line = compile_format(Config().access_logformat)(replace(ENTRY))
    assert re.fullmatch(
        r"192\.0\.2\.7 - ann \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
        r'"GET /caf%C3%A9\?a=1&b=2 HTTP/1\.1" 200 512 "http://r/" "curl/8"',
        line,
    )


@pytest.mark.parametrize(
    ("format", "why"),
    [
        ("%(x)s", "no atom is called 'x'"),
        ("%({host}x)s", "no atom is called '{host}x'"),
        ("%(h)d", "write atoms as %(h)s"),
        ("%h", "write atoms as %(h)s"),
        ("100%", "write atoms as %(h)s"),
        ("%(h", "write atoms as %(h)s"),
    ],
)
def test_bad_format(format: str, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compile_format(format)
    assert why in str(refused.value)


@pytest.mark.parametrize("value", [b"Basic", b"Basic !!!", b"Basic YQ==", b"Bearer x", b"\xff\xfe"])
def test_credentials_that_are_none(value: bytes) -> None:
    entry = replace(ENTRY, request_headers=[(b"authorization", value)])
    assert compile_format("%(u)s")(entry) == "-"


def test_client_cannot_forge_a_line() -> None:
    evil = b'"\\\x00\r\n\x1b[31m\xe9'
    entry = replace(
        ENTRY,
        target=evil.decode("latin-1"),
        request_headers=[
            (b"referer", evil),
            (b"authorization", b"Basic " + base64.b64encode(evil + b":")),
        ],
    )
    escaped = r"\"\\\x00\x0d\x0a\x1b[31m\xe9"
    line = compile_format('"%(f)s" "%(r)s" %(u)s')(entry)
    assert line == rf'"{escaped}" "GET {escaped} HTTP/1.1" {escaped}'


@pytest.mark.parametrize(("sent", "log_cache"), [('"', '\\"'), ("\\", "\\\\"), ("\t", "\\x09")])
def test_each_dangerous_character_alone(sent: str, log_cache: str) -> None:
    assert compile_format("%(U)s")(replace(ENTRY, target=sent)) == log_cache


@given(st.binary(), st.text())
def test_no_input_leaves_anything_but_printable_ascii(value: bytes, target: str) -> None:
    entry = replace(ENTRY, target=target, client=target, request_headers=[(b"user-agent", value)])
    line = compile_format("%(h)s %(r)s %(U)s %(q)s %(a)s")(entry)
    assert line.isascii()
    assert line.isprintable()


def test_clock_is_right_whenever_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000_000.9
    monkeypatch.setattr("time.time", lambda: now)
    clock = Clock("%S")
    first = clock()
    assert clock() == first
    now += 0.2
    assert int(clock()) == int(first) + 1


def test_no_access_log_by_default() -> None:
    setup.configure(Config())
    assert AccessLog.from_config(Config()) is None


@pytest.mark.parametrize("where", ["-", "file"])
def test_line_goes_out_at_once(
    where: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "access.log"
    config = Config(
        access_logfile=where if where == "-" else str(path), access_logformat="%(m)s %(s)s"
    )
    setup.configure(config)
    log = AccessLog.from_config(config)
    assert log is not None
    log.write(replace(ENTRY))
    out, err = capfd.readouterr()
    assert (out if where == "-" else path.read_text()) == "GET 200\n"
    assert err == ""


def test_rotated_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    config = Config(access_logfile=str(path), access_logformat="%(m)s")
    setup.configure(config)
    log = AccessLog.from_config(config)
    assert log is not None
    path.rename(tmp_path / "old")
    setup.reopen()
    log.write(replace(ENTRY))
    assert path.read_text() == "GET\n"
    assert (tmp_path / "old").read_text() == ""


def test_log_config_gets_the_access_lines(tmp_path: Path) -> None:
    out = tmp_path / "out.log"
    path = tmp_path / "logging.json"
    handler = {"class": "logging.FileHandler", "filename": str(out)}
    loggers = {"pyfork.access": {"handlers": ["file"], "level": "INFO"}}
    path.write_text(json.dumps({"handlers": {"file": handler}, "loggers": loggers}))
    config = Config(log_config=str(path), access_logformat="%(m)s 100%%")
    setup.configure(config)
    log = AccessLog.from_config(config)
    assert log is not None
    log.write(replace(ENTRY))
    setup.finish()
    assert out.read_text() == "GET 100%\n"


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    config = Config(access_logfile=str(path), access_logformat="json")
    setup.configure(config)
    setup.identify("worker", 2, 1)
    log = AccessLog.from_config(config)
    assert log is not None
    log.write(replace(ENTRY, response_headers=[(b"X-Request-ID", b"r1")]))
    log.write(replace(BARE, target='/"\n\x00\xe9', elapsed=0.1 + 0.2))
    full, bare = map(json.loads, path.read_text().splitlines())
    time = full.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", time)
    assert full == {
        "client": "192.0.2.7",
        "method": "GET",
        "target": "/caf%C3%A9?a=1&b=2",
        "version": "1.1",
        "status": 200,
        "length": 512,
        "elapsed": 1.234567,
        "queue_time": 0.25,
        "referer": "http://r/",
        "user_agent": "curl/8",
        "request_id": "r1",
        "traceparent": None,
        "worker": 2,
        "pid": os.getpid(),
    }
    assert bare.keys() == {*full, "time"}
    assert (bare["client"], bare["referer"], bare["request_id"]) == (None, None, None)
    assert bare["target"] == '/"\n\x00\xe9'
    assert (bare["elapsed"], bare["queue_time"]) == (0.3, None)


def test_lines_of_a_turn_leave_together(tmp_path: Path) -> None:
    """At its end; or before, when there are many or one has waited for long."""
    path = tmp_path / "access.log"
    config = Config(access_logfile=str(path), access_logformat="%(m)s")
    setup.configure(config)
    log = AccessLog.from_config(config)
    assert log is not None
    turn: list[Any] = []
    log.later = turn.append
    for _ in range(3):
        log.write(replace(ENTRY))
    assert (path.read_text(), len(turn)) == ("", 1)
    turn.pop()()
    assert path.read_text() == "GET\n" * 3
    for _ in range(MOST):
        log.write(replace(ENTRY))
    assert path.read_text() == "GET\n" * (3 + MOST)
    log.write(replace(ENTRY))
    deadline = time.monotonic() + LONGEST
    while time.monotonic() <= deadline:
        pass
    log.write(replace(ENTRY))
    assert path.read_text() == "GET\n" * (5 + MOST)
    for flush in turn:
        flush()
    assert path.read_text() == "GET\n" * (5 + MOST)
