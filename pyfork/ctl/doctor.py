"""``pyfork doctor``: what will hurt a server, with the fix and the page that explains it.

`findings` is pure: it gets facts. An unknown fact is no finding.
"""

import json
import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from pyfork.address import Inet, parse
from pyfork.config.command_line.arguments import parse as parse_arguments
from pyfork.config.config import SETTINGS
from pyfork.config.load import load
from pyfork.ctl import client, processes, tables
from pyfork.ctl.context import CommandContext
from pyfork.errors import ExitStatus, PyforkError
from pyfork.net.tls.certificate import expiries
from pyfork.record import asdict, record
from pyfork.system import cpus

PROXY_KEEP_ALIVE = 60.0  # seconds that nginx, HAProxy's examples and load balancers of clouds keep
EXPIRY = 30 * 86400.0  # seconds
DOCKER_STOP, KUBERNETES_STOP = 10.0, 30.0  # seconds until KILL, by default
LOOP_LAG = 0.1  # seconds
SPARE_FILES = 64  # listeners, channels, logs, what the application opens


@record
class Finding:
    """One thing that will hurt."""

    serious: bool
    problem: str
    fix: str
    page: str


@record(kw_only=True)
class Facts:
    """The known facts about a server and its machine."""

    status: Mapping[str, Any]
    settings: Mapping[str, str]
    files: int | None  # that a process may open; None: unlimited
    control: str  # path of the control socket
    cpus: int
    memory: int | None  # bytes that all processes have, shared ones counted once
    memory_limit: int | None  # bytes, of the control group
    somaxconn: int | None
    control_is_open: bool  # users that need not be trusted may write where the socket is
    expiry: Mapping[str, float]  # seconds until a certificate expires, by its file
    place: str  # "", "docker" or "kubernetes"
    has_uvloop: bool

    def number(self, name: str) -> float:
        """The value of a setting that is a number."""
        return float(self.settings[name])

    @property
    def workers(self) -> Sequence[Mapping[str, Any]]:
        """Those that run."""
        found: Sequence[Mapping[str, Any]] = self.status.get("workers", ())
        return found

    @property
    def is_public(self) -> bool:
        """Whether other machines may reach it."""
        addresses = [parse(text) for text in self.status["addresses"]]
        hosts = [each.host for each in addresses if isinstance(each, Inet)]
        return any(not (host.startswith("127.") or host in ("::1", "localhost")) for host in hosts)


def run(asked: CommandContext) -> ExitStatus:
    """Say what is found. Exit status 1 if anything is serious.

    Raises:
        PyforkError: TARGET is neither a server that runs nor an application.
    """
    target = asked.options["target"]
    try:
        server = client.find(target)
    except PyforkError:
        if target is None or not _is_application(target):
            raise
        who, facts = target, _facts_of_application(target)
    else:
        try:
            (answer,) = server.ask("describe")
            if not answer["ok"]:
                return asked.refuse("no answer", answer)
            who, facts = f"pid {server.status['pid']}", _facts(answer, server.path)
        finally:
            server.close()
    found = list(findings(facts))
    for finding in found:
        if asked.options["json"]:
            asked.say(json.dumps(asdict(finding)))
        else:
            kind = "serious" if finding.serious else "advice"
            asked.say(f"{kind}: {finding.problem}\n    {finding.fix} ({finding.page})")
    if not found and not asked.options["json"]:
        asked.say(f"{who}: nothing was found that will hurt")
    return ExitStatus.FAILED if any(each.serious for each in found) else ExitStatus.OK


def findings(facts: Facts) -> Iterator[Finding]:
    """All of them, as `CHECKS` has them."""
    for check in CHECKS:
        yield from check(facts)


def _workers(facts: Facts) -> Iterator[Finding]:
    wanted = facts.status["workers_wanted"]
    if wanted > 2 * facts.cpus + 1:
        yield Finding(
            False,
            f"{wanted} workers share {facts.cpus} CPUs",
            f"--workers {facts.cpus}, or auto; for requests that wait, --threads",
            "docs/workers.md",
        )


def _memory(facts: Facts) -> Iterator[Finding]:
    if facts.memory and facts.memory_limit and facts.memory > 0.9 * facts.memory_limit:
        yield Finding(
            True,
            f"the server has {tables.size(facts.memory)} of the {tables.size(facts.memory_limit)} "
            "that its control group may have: the kernel will kill workers",
            "fewer --workers, or a higher limit",
            "docs/workers.md",
        )


def _keep_alive(facts: Facts) -> Iterator[Finding]:
    keep = facts.number("keep_alive")
    if 0 < keep <= PROXY_KEEP_ALIVE:
        yield Finding(
            False,
            f"idle connections are closed after {keep:g} s; proxies keep theirs for "
            f"{PROXY_KEEP_ALIVE:g} s and may send a request into the close",
            "--keep-alive 65",
            "docs/proxies.md",
        )


def _backlog(facts: Facts) -> Iterator[Finding]:
    backlog = facts.number("backlog")
    if facts.somaxconn is not None and backlog > facts.somaxconn:
        yield Finding(
            False,
            f"--backlog {backlog:g} is cut to {facts.somaxconn} by the kernel",
            f"sysctl net.core.somaxconn={backlog:.0f}",
            "docs/settings.md",
        )


def _files(facts: Facts) -> Iterator[Finding]:
    connections = facts.number("worker_connections")
    if facts.files is not None and facts.files < connections + SPARE_FILES:
        yield Finding(
            True,
            f"a worker may have {connections:g} connections and open only {facts.files} files",
            "LimitNOFILE= of systemd, ulimit -n, or a lower --worker-connections",
            "docs/systemd.md",
        )


def _forwarded(facts: Facts) -> Iterator[Finding]:
    if facts.settings["forwarded_allow_ips"] == "*" and facts.is_public:
        yield Finding(
            True,
            "every client may say which address it has: --forwarded-allow-ips is * and the "
            "address is public",
            "--forwarded-allow-ips with the addresses of the proxies",
            "docs/proxies.md",
        )


def _development(facts: Facts) -> Iterator[Finding]:
    if facts.settings["reload"].lower() in ("true", "yes", "on", "1") and facts.is_public:
        yield Finding(
            True,
            "--reload is for development, and the address is public",
            "no --reload where others may come",
            "docs/develop.md",
        )


def _grace(facts: Facts) -> Iterator[Finding]:
    limit = {"docker": DOCKER_STOP, "kubernetes": KUBERNETES_STOP}.get(facts.place)
    needs = facts.number("drain_delay") + facts.number("graceful_timeout")
    if limit is not None and needs >= limit:
        yield Finding(
            True,
            f"a stop may take {needs:g} s, and {facts.place} kills after {limit:g} s by default",
            "stop_grace_period of Docker or terminationGracePeriodSeconds of Kubernetes above "
            "that, if it is not set yet; or a lower --graceful-timeout",
            "docs/deploy.md",
        )


def _certificates(facts: Facts) -> Iterator[Finding]:
    for path, left in facts.expiry.items():
        if left < EXPIRY:
            when = "has expired" if left < 0 else f"expires in {tables.duration(left)}"
            yield Finding(True, f"{path} {when}", "renew the certificate", "docs/tls.md")


def _control(facts: Facts) -> Iterator[Finding]:
    if facts.control_is_open:
        yield Finding(
            True,
            f"others may put a socket of theirs in the place of {facts.control}",
            "--control in a directory that only this user may write to",
            "docs/control.md",
        )


def _boot(facts: Facts) -> Iterator[Finding]:
    limit = facts.number("boot_timeout")
    slowest = max((each.get("boot") or 0.0 for each in facts.workers), default=0.0)
    if limit and slowest > limit / 2:
        yield Finding(
            True,
            f"a worker took {slowest:.1f} s to boot, and --boot-timeout is {limit:g} s: on a busy "
            "machine no worker will start",
            f"--boot-timeout {4 * slowest:.0f}, or --preload",
            "docs/timeouts.md",
        )


def _debug(facts: Facts) -> Iterator[Finding]:
    if facts.is_public and any(each.get("debug") for each in facts.workers):
        yield Finding(
            True,
            "the application is in debug mode, as by DEBUG = True of Django, and the address is "
            "public: clients see its code and settings in error pages",
            "DEBUG = False in production",
            "docs/deploy.md",
        )


def _blocking(facts: Facts) -> Iterator[Finding]:
    lags = [each["loop_lag"] for each in facts.workers if each.get("interface") == "asgi"]
    if lags and max(lags) > LOOP_LAG:
        yield Finding(
            False,
            f"the event loop of a worker stood still for {max(lags):.2f} s in the last 10 s: "
            "asynchronous code calls something that blocks",
            "pyfork stack shows where; await it, or move it to a thread (asyncio.to_thread)",
            "docs/operate.md",
        )


def _uvloop(facts: Facts) -> Iterator[Finding]:
    if not facts.has_uvloop and facts.settings["loop"] != "asyncio":
        yield Finding(False, "uvloop is not installed", "pip install uvloop", "docs/performance.md")


CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    *(_memory, _files, _forwarded, _development, _grace, _certificates, _control),
    *(_boot, _debug),
    *(_workers, _keep_alive, _backlog, _blocking, _uvloop),
)


def _facts(answer: Mapping[str, Any], control: str) -> Facts:
    """Ask the system. It is the same machine that the server runs on."""
    status, start = answer["status"], answer["start"]
    pids = [status["pid"], *(worker["pid"] for worker in status["workers"])]
    used = processes.usage(pids)
    settings = {each["name"]: each["value"] for each in start["settings"]}
    files = [
        os.path.join(start["directory"], path) for path in settings["certfile"].split(", ") if path
    ]
    return Facts(
        status=status,
        settings=settings,
        files=start["limits"]["open files"],
        control=control,
        cpus=cpus.usable(),
        memory=sum(each.memory for each in used.values()) or None,
        memory_limit=_memory_limit(status["pid"]),
        somaxconn=_number_in("/proc/sys/net/core/somaxconn"),
        control_is_open=_is_open(os.path.dirname(control)),
        expiry={path: ends - time.time() for path, ends in expiries(files).items()},
        place=_place(start["environment"]),
        has_uvloop=find_spec("uvloop") is not None,
    )


def _is_application(target: str) -> bool:
    """Whether a module of that name is here, or installed."""
    name = target.partition(":")[0].partition(".")[0]
    if not name.isidentifier():
        return False
    return any(os.path.exists(each) for each in (name, f"{name}.py")) or bool(find_spec(name))


def _facts_of_application(target: str) -> Facts:
    """What a server of it would have, by the settings of this directory. It is imported in a
    process of its own.

    Raises:
        PyforkError: it does not load, or a setting is wrong.
    """
    config = load(parse_arguments([target]), os.environ, os.getcwd()).config
    tried = subprocess.run(
        [sys.executable, "-m", "pyfork.loader.trial", target],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        raise PyforkError(f"{target} does not load:\n{tried.stderr.strip()}")
    worker = {"loop_lag": 0.0, **json.loads(tried.stdout.splitlines()[-1])}
    return Facts(
        status={
            "addresses": config.bind,
            "workers_wanted": config.workers,
            "workers": [worker],
        },
        settings={
            name: str(each.kind.show(getattr(config, name))) for name, each in SETTINGS.items()
        },
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        control="",
        cpus=cpus.usable(),
        memory=None,
        memory_limit=None,
        somaxconn=_number_in("/proc/sys/net/core/somaxconn"),
        control_is_open=False,
        expiry={path: ends - time.time() for path, ends in expiries(config.certfile).items()},
        place=_place(list(os.environ)),
        has_uvloop=find_spec("uvloop") is not None,
    )


def _memory_limit(pid: int) -> int | None:
    """Of the control group of a process (version 2), or of the one above it that is lower."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            group = file.read().strip().rpartition("::")[2]
    except OSError:
        return None
    limits = []
    while group:
        limits.append(_number_in(f"/sys/fs/cgroup{group.rstrip('/')}/memory.max"))
        group = "" if group == "/" else os.path.dirname(group)
    return min((each for each in limits if each is not None), default=None)


def _number_in(path: str) -> int | None:
    with suppress(OSError, ValueError), open(path) as file:
        return int(file.read())
    return None


def _is_open(directory: str) -> bool:
    try:
        mode = os.stat(directory).st_mode
    except OSError:
        return False
    return bool(mode & 0o022) and not mode & stat.S_ISVTX


def _place(environment: list[str]) -> str:
    if "KUBERNETES_SERVICE_HOST" in environment:
        return "kubernetes"
    return "docker" if os.path.exists("/.dockerenv") else ""
