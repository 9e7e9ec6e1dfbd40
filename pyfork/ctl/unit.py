"""``pyfork unit``: the systemd unit of a server that runs, or of a command line."""

import os
import pwd
import shlex
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from pyfork.config.config import Config
from pyfork.ctl import client
from pyfork.ctl.context import CommandContext
from pyfork.ctl.start import program, read_config
from pyfork.errors import ExitStatus, PyforkError
from pyfork.record import record

# Seconds. A worker may take 2 s beyond its grace, and the arbiter a moment.
STOP_MARGIN = 10
START_MARGIN = 30

_SANDBOX = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service"""


@record
class Served:
    """The facts about a server that a unit needs."""

    name: str
    command: list[str]
    directory: str
    user: str
    stop_limit: float  # seconds that a graceful stop may take
    boot_limit: float  # seconds that a boot may take; zero: for ever
    addresses: tuple[str, ...]


def run(asked: CommandContext) -> ExitStatus:
    """Print it. Raises PyforkError: there is no such server."""
    words = asked.options["behind"]
    served = _of_command_line(words) if words else _of_server(asked.options["target"])
    if asked.options["socket"]:
        text = socket_unit(served)
    else:
        text = service_unit(served, user=asked.options["user"])
    asked.tell({"name": served.name, "unit": text}, text)
    return ExitStatus.OK


def service_unit(served: Served, *, user: bool = False) -> str:
    """The text of NAME.service; ``user``: for the user's own manager."""
    start_limit = f"{served.boot_limit + START_MARGIN:.0f}" if served.boot_limit else "infinity"
    place = "/home" in served.directory or any("/home" in word for word in served.command)
    lines = [
        "[Unit]",
        f"Description={_escaped(served.name)}, served by pyfork",
        "After=network.target",
        "",
        "[Service]",
        "Type=notify",
        f"ExecStart={_command(served.command)}",
        f"ExecReload={_command([*served.command[: _program_words(served.command)]])} reload --wait"
        " %t/%N/control.sock",
        f"WorkingDirectory={_escaped(served.directory)}",
        *([] if user else [f"User={served.user}"]),
        "RuntimeDirectory=%N",
        "RuntimeDirectoryMode=0700",
        "Environment=PYFORK_CONTROL=%t/%N/control.sock",
        "# TERM to the arbiter, which lets its workers finish; KILL to what is left.",
        "KillMode=mixed",
        f"TimeoutStopSec={served.stop_limit + STOP_MARGIN:.0f}",
        f"TimeoutStartSec={start_limit}",
        "Restart=on-failure",
        "# 2: a setting is wrong.",
        "RestartPreventExitStatus=2",
        "WatchdogSec=30",
        "LimitNOFILE=65536",
        "# The application may write below ReadWritePaths= only.",
        f"ReadWritePaths={_escaped(served.directory)}",
        *([] if user else [*_capabilities(served), *_sandbox(place)]),
        "",
        "[Install]",
        f"WantedBy={'default' if user else 'multi-user'}.target",
    ]
    return "\n".join(lines)


def socket_unit(served: Served) -> str:
    """The text of NAME.socket. The service listens there in place of its --bind."""
    streams = [f"ListenStream={_stream(address)}" for address in served.addresses]
    if not streams:
        raise PyforkError("this server has no address yet that a socket unit could have")
    return "\n".join(
        [
            "# The service needs Requires=%N.socket, and no --bind in its ExecStart.",
            "[Unit]",
            f"Description=The port of {_escaped(served.name)}",
            "",
            "[Socket]",
            *streams,
            "Backlog=2048",
            "",
            "[Install]",
            "WantedBy=sockets.target",
        ]
    )


def _capabilities(served: Served) -> list[str]:
    """Root drops privileges itself, for --user; others need one only for a port below 1024."""
    if served.user == "root":
        return []
    ports = [address.rpartition(":")[2] for address in served.addresses]
    if any(port.isdecimal() and 0 < int(port) < 1024 for port in ports):
        name = "CAP_NET_BIND_SERVICE"
        return [f"AmbientCapabilities={name}", f"CapabilityBoundingSet={name}"]
    return ["CapabilityBoundingSet="]


def _sandbox(needs_home: bool) -> list[str]:
    return _SANDBOX.format(home="read-only" if needs_home else "yes").split("\n")


def _of_server(target: str | None) -> Served:
    server = client.find(target)
    with closing(server):
        (answer,) = server.ask("describe")
    if not answer["ok"]:
        raise PyforkError(answer["error"])
    status, start = answer["status"], answer["start"]
    settings = {each["name"]: each["value"] for each in start["settings"]}
    return Served(
        name=status["name"] or "pyfork",
        command=start["command"],
        directory=start["directory"],
        user=_user(os.stat(f"/proc/{status['pid']}").st_uid),
        stop_limit=_number(settings, "drain_delay") + _number(settings, "graceful_timeout"),
        boot_limit=_number(settings, "boot_timeout"),
        addresses=tuple(status["addresses"]),
    )


def _of_command_line(words: list[str]) -> Served:
    config: Config = read_config(words)
    return Served(
        name=config.name or "pyfork",
        command=[*program(), *words],
        directory=os.getcwd(),
        user=_user(os.geteuid()),
        stop_limit=config.drain_delay + config.graceful_timeout,
        boot_limit=config.boot_timeout,
        addresses=tuple(str(each) for each in config.bind),
    )


def _number(settings: Mapping[str, Any], name: str) -> float:
    return float(settings[name])


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _program_words(command: list[str]) -> int:
    """How many words of a command line are the program: python, and pyfork or -m pyfork."""
    return 3 if command[1:3] == ["-m", "pyfork"] else 2


def _command(words: list[str]) -> str:
    """As systemd reads it: %, $ and quotes mean themselves."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    word = _escaped(word).replace("$", "$$")
    if word == shlex.quote(word):
        return word
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _stream(address: str) -> str:
    return address.removeprefix("unix:").replace("*:", "")
