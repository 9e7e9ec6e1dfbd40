"""``pyfork logs`` and ``pyfork unit``, over real servers."""

import json
import signal
import subprocess
import threading
from pathlib import Path

from pyfork.ctl import log_reader
from pyfork.ctl.log_reader import LogRecord
from tests import programs
from tests.harness.server import PATIENCE
from tests.harness.site import Site


def test_logs_of_a_file_and_after_its_rotation(site: Site) -> None:
    path = site.directory / "error.log"
    server = site.serve("-w", "2", "-n", "blue", "--error-logfile", str(path), log=path)
    server.wait_log("is serving")
    shown = site.command("logs", "blue")
    assert shown.stdout == path.read_text()
    one = site.command("logs", "blue", "--json", "--worker", "1", "--lines", "5")
    assert one.returncode == 0
    assert all(json.loads(line)["worker"] == 1 for line in one.stdout.splitlines())
    (ready,) = site.command(
        "logs", "blue", "--grep", r"worker 0 .* is ready", "--json"
    ).stdout.splitlines()
    assert json.loads(ready)["level"] == "INFO"
    following = site.start("logs", "blue", "-f", "--lines", "1")
    assert following.stdout
    assert "is serving" in following.stdout.readline()
    path.rename(site.directory / "error.log.1")
    server.signal(signal.SIGUSR1)
    assert "reopened" in following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=PATIENCE)
    assert (following.returncode, err) == (0, "")
    for words, message in (
        (("--access",), "has no access log: see --access-logfile"),
        (("--grep", "("), "is no regular expression"),
        (("--lines", "x"), "'x' is not a number of records"),
    ):
        assert message in site.command("logs", "blue", *words).stderr


def test_a_log_that_is_truncated_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\n[2026-01-01 00:00:00 +0000] [7] [ERROR] [worker 3 gen 1] two\n  more\n")
    file = path.open("rb")
    found = log_reader.last(file, 9, lambda each: True)
    assert [each.message for each in found] == ["one", "two\n  more"]
    assert (found[1].slot, found[1].pid, found[1].level) == (3, 7, "ERROR")
    assert log_reader.last(file, 0, lambda each: True) == []
    seen: list[LogRecord] = []
    done = threading.Event()

    def read() -> None:
        for each in log_reader.follow(str(path), file):
            seen.append(each)
            if each.text == "last":
                done.set()
                return

    reader = threading.Thread(target=read)
    reader.start()
    with path.open("a") as log:
        log.write("three\n")
    while not seen:
        assert reader.is_alive()
    path.write_text("last\n")  # as copytruncate does
    assert done.wait(PATIENCE)
    reader.join()
    assert [each.text for each in seen] == ["three", "last"]


def test_unit_is_one_that_systemd_understands(site: Site) -> None:
    program = programs.need("systemd-analyze")
    server = site.serve("-w", "2", "-n", "blue", "--graceful-timeout", "50")
    port = f"ListenStream=127.0.0.1:{server.port}\n"
    assert port in site.command("unit", "blue", "--socket").stdout
    of_server = site.command("unit", "blue")
    of_words = site.command("unit", "--", "shop:app", "-n", "red", "--env", "A=50% $x", "-b", ":80")
    for done, name, stop in ((of_server, "blue", 60), (of_words, "red", 40)):
        assert (done.returncode, done.stderr) == (0, "")
        assert f"TimeoutStopSec={stop}\n" in done.stdout
        unit = site.directory / f"{name}.service"
        unit.write_text(done.stdout)
        checked = subprocess.run(
            [program, "verify", str(unit)], capture_output=True, text=True, check=False
        )
        about = [line for line in checked.stderr.splitlines() if unit.name in line]
        assert (checked.returncode, about) == (0, [])
    assert '--env "A=50%% $$x" -b :80' in of_words.stdout
    assert "User=" not in site.command("unit", "blue", "--user").stdout
