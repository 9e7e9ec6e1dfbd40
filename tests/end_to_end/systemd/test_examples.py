"""The files in examples/: their numbers fit each other, and their commands are ones.

They are read as text: what is looked for is on lines of its own.
"""

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pyfork.config.command_line.arguments import parse
from pyfork.config.config import Config
from pyfork.config.load import load
from pyfork.ctl.commands import COMMANDS
from pyfork.supervisor.events import Policy
from tests import programs

MARGIN = Policy().margin
EXAMPLES = Path(__file__).parents[3] / "examples"
SERVICE = EXAMPLES / "systemd/pyfork.service"
SOCKET = EXAMPLES / "systemd/pyfork.socket"
DOCKERFILE = (EXAMPLES / "docker/Dockerfile").read_text()
COMPOSE = (EXAMPLES / "docker/compose.yaml").read_text()
DEPLOYMENT = (EXAMPLES / "kubernetes/deployment.yaml").read_text()


def config(words: list[str], environ: dict[str, str], directory: Path) -> Config:
    """What a command line without its first word comes to, in an environment."""
    return load(parse(words), environ, directory).config


def stop_limit(config: Config) -> float:
    """How long a graceful stop may take."""
    return config.drain_delay + config.graceful_timeout + MARGIN


def number(pattern: str, text: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, pattern
    return int(found[1])


def instruction(name: str) -> list[str]:
    """The words of an instruction of the Dockerfile, which has to be in its exec form."""
    found = re.search(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found, name
    words = json.loads(found[1])
    assert all(isinstance(word, str) for word in words)
    return list(words)


def environment() -> dict[str, str]:
    """What the Dockerfile sets."""
    lines = re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE)
    return dict(word.split("=", 1) for line in lines for word in line.split())


def ini(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(path)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_systemd_waits_long_enough(tmp_path: Path) -> None:
    service = ini(SERVICE)["Service"]
    settings = config(service["ExecStart"].split()[1:], {}, tmp_path)
    assert int(service["TimeoutStopSec"]) > stop_limit(settings)
    assert int(service["TimeoutStartSec"]) > settings.boot_timeout
    assert settings.bind == Config().bind  # so that the sockets count


def test_the_socket_unit_is_the_one_that_the_service_requires() -> None:
    assert ini(SERVICE)["Unit"]["Requires"] == SOCKET.name
    assert SERVICE.stem == SOCKET.stem  # by which systemd knows whom to pass the sockets to


def test_docker_waits_long_enough(tmp_path: Path) -> None:
    settings = config(instruction("ENTRYPOINT")[1:] + instruction("CMD"), environment(), tmp_path)
    assert number(r"stop_grace_period: (\d+)s$", COMPOSE) > stop_limit(settings)


def test_the_image_is_what_it_says() -> None:
    port = environment()["PORT"]
    assert re.search(rf"^EXPOSE {port}$", DOCKERFILE, re.MULTILINE)
    assert f"{port}:{port}" in COMPOSE
    assert number(r"^USER (\d+):", DOCKERFILE) > 0


def test_kubernetes_waits_long_enough(tmp_path: Path) -> None:
    args = re.findall(r"^ +- (--.*|shop\.wsgi)$", DEPLOYMENT, re.MULTILINE)
    settings = config(instruction("ENTRYPOINT")[1:] + args, environment(), tmp_path)
    assert settings.drain_delay > number(r"readiness(?s:.*?)periodSeconds: (\d+)", DEPLOYMENT)
    grace = number(r"terminationGracePeriodSeconds: (\d+)$", DEPLOYMENT)
    assert grace > stop_limit(settings)
    said = re.search(r"delay (\d+) \+ graceful timeout (\d+) \+ the last cut (\d+)", DEPLOYMENT)
    assert said
    assert [float(each) for each in said.groups()] == [
        settings.drain_delay,
        settings.graceful_timeout,
        MARGIN,
    ]
    startup = DEPLOYMENT.partition("startupProbe:")[2]
    tries = number(r"periodSeconds: (\d+)", startup) * number(r"failureThreshold: (\d+)", startup)
    assert tries >= settings.boot_timeout
    assert number(r"containerPort: (\d+)", DEPLOYMENT) == int(settings.bind[0].rpartition(":")[2])
    assert number(r"runAsUser: (\d+)", DEPLOYMENT) == number(r"^USER (\d+):", DOCKERFILE)


def test_probes_are_commands() -> None:
    found = re.search(r"HEALTHCHECK.*\\\n +CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found
    probes = [json.loads(found[1])]
    for program, command, flag in probes:
        assert program == "pyfork"
        assert flag in COMMANDS[command].options


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    program = programs.need("systemd-analyze")
    text = SERVICE.read_text().replace("/srv/shop/venv/bin/pyfork", sys.executable)
    (tmp_path / SERVICE.name).write_text(text)
    shutil.copy(SOCKET, tmp_path)
    verified = subprocess.run(
        [program, "verify", "--man=no", tmp_path / SERVICE.name, tmp_path / SOCKET.name],
        capture_output=True,
        text=True,
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_service_needs_no_newer_systemd_than_debian_12_has() -> None:
    """252: an unknown Type= is taken for simple there, with a warning only."""
    service = ini(SERVICE)["Service"]
    assert service["Type"] == "notify"
    program, *words = service["ExecReload"].split()
    assert program == service["ExecStart"].split()[0]
    assert words == ["reload", "--wait", service["Environment"].partition("=")[2]]
    assert "--wait" in COMMANDS["reload"].options
