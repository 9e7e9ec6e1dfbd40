"""Files that cannot be used: a clear line at the start, and at a reload the old ones stay."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.end_to_end.tls.authority import Authority, get, shown
from tests.harness.server import PATIENCE, ROOT, Server

APP = "tests.apps.secure:wsgi"


def encrypt(key: str) -> str:
    """The same key behind the password ``sesame``."""
    path = f"{key}.encrypted"
    command = ["openssl", "pkey", "-aes128", "-passout", "pass:sesame", "-in", key, "-out", path]
    subprocess.run(command, check=True, timeout=PATIENCE)
    return path


def cut(path: str) -> str:
    Path(path).write_bytes(Path(path).read_bytes()[:200])
    return path


Case = Callable[[str, str, str], list[str]]  # of a certificate, its key, and another key
CASES: dict[str, tuple[Case, str]] = {
    "missing": (lambda c, k, o: ["--certfile", c + "x", "--keyfile", k], "cannot be read: No such"),
    "cut": (lambda c, k, o: ["--certfile", cut(c), "--keyfile", k], "no certificate in PEM form"),
    "cut key": (lambda c, k, o: ["--certfile", c, "--keyfile", cut(k)], "damaged"),
    "other key": (lambda c, k, o: ["--certfile", c, "--keyfile", o], "is not the key of"),
    "no key": (lambda c, k, o: ["--certfile", c], "--keyfile FILE says where"),
    "one key": (lambda c, k, o: ["--certfile", f"{c},{c}", "--keyfile", k], "1 for 2 --certfile"),
    "key alone": (lambda c, k, o: ["--keyfile", k], "add --certfile"),
    "encrypted": (
        lambda c, k, o: ["--certfile", c, "--keyfile", encrypt(k)],
        "PYFORK_KEYFILE_PASSWORD",
    ),
    "wrong password": (
        lambda c, k, o: [
            *("--certfile", c, "--keyfile", encrypt(k), "--ssl-keyfile-password", "wrong")
        ],
        "the password does not open it",
    ),
    "ciphers": (
        lambda c, k, o: ["--certfile", c, "--keyfile", k, "--ciphers", "none-such"],
        "OpenSSL knows none of them",
    ),
    "no authority": (
        lambda c, k, o: ["--certfile", c, "--keyfile", k, "--cert-reqs", "required"],
        "--ca-certs",
    ),
    "bad authority": (
        lambda c, k, o: [
            *("--certfile", c, "--keyfile", k, "--cert-reqs", "required", "--ca-certs", k)
        ],
        "holds no certificate",
    ),
}


@pytest.mark.parametrize(
    ("name", "check"), [*((name, True) for name in CASES), ("other key", False)]
)
def test_one_clear_line(tmp_path: Path, name: str, check: bool) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("a.test")
    options, told = CASES[name]
    words = [*options(certificate, key, authority.issue("b.test", file="other")[1]), APP]
    ended = run("--check-config" if check else "-w1", "-b", "127.0.0.1:0", *words)
    assert ended.returncode == 2
    (line,) = (each for each in ended.stderr.splitlines() if each.startswith("pyfork: error: "))
    assert told in line
    assert "Traceback" not in ended.stderr


def test_passwords(tmp_path: Path) -> None:
    """From the environment, which the application does not see, or from a file."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("127.0.0.1")
    secret = tmp_path / "password"
    secret.write_text("sesame\n")
    options = ["--certfile", certificate, "--keyfile", encrypt(key)]
    env = {"PYFORK_KEYFILE_PASSWORD": "sesame"}
    with Server(APP, *options, directory=tmp_path, env=env) as server:
        assert get(server, authority.client()).status == 200
        assert json.loads(get(server, authority.client(), "/environ").body) == []
    options += ["--keyfile-password-file", str(secret)]
    assert run("--check-config", *options, APP).returncode == 0
    shown = run("--print-config", "--ssl-keyfile-password", "sesame", APP)
    assert "***" in shown.stdout
    assert "sesame" not in shown.stdout + shown.stderr
    assert "every user of this machine" in shown.stderr


def test_an_expired_one_is_served_with_a_warning(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = authority.options(not_after=datetime.now(UTC) - timedelta(days=1))
    with Server(APP, *options, directory=tmp_path) as server:
        assert "expired on 20" in server.log


def test_a_reload_with_bad_files_changes_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("127.0.0.1")
    settings = tmp_path / "pyfork.toml"
    settings.write_text(f'certfile = "{certificate}"\nkeyfile = "{key}"\n')
    with Server(APP, "-c", str(settings), directory=tmp_path) as server:
        before = shown(server, authority.client())
        settings.write_text(f'certfile = "{certificate}x"\nkeyfile = "{key}"\n')
        server.signal(signal.SIGHUP)
        server.wait_log("reload refused: --certfile")
        assert shown(server, authority.client()) == before


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pyfork", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
