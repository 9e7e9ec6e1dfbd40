"""Where the commands of the pages are run: a project, ports that are free, a shell.

Nothing of a command is changed but its places: ports become free ones, on this machine alone, and
/srv/shop and /run are the project's directory.
"""

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from tests.docs.pages import Command
from tests.harness.ports import free_port
from tests.harness.server import PATIENCE, ROOT, Server

# What is not run here, and why. In its place stands a program that does nothing, so that the rest
# of its line is run.
STAND_INS = {
    "git": "there is nowhere to pull from",
    "pip": "it would fetch from the index; the checks install pyfork",
    "ruff": "the checks run it",
    "mypy": "the checks run it",
    "pytest": "it is what runs this",
    "gunicorn": "it is shown for comparison",
    "uvicorn": "it is shown for comparison",
    "pm2": "it is shown for comparison",
    "npm": "it would fetch from the index",
    "docker": "it takes a daemon; the image's command is run in tests/end_to_end/systemd",
    "systemctl": "it takes systemd as process 1; tests/end_to_end/systemd verifies the units",
    "kubectl": "it takes a cluster",
    "apt-get": "it would change this machine",
}
# Of the commands of the pages, those that end by themselves.
ASKING = (
    *("list", "ls", "ps", "status", "sockets", "reload", "upgrade", "stop", "scale", "completion"),
    *(
        "describe",
        "restart",
        "drain",
        "resume",
        "history",
        "stack",
        "unit",
        "start",
        "logs",
        "doctor",
        "top",
    ),
)
ENDING = ("--check-config", "--print-config", "--help", "--help-all", "--version", "-h")

_PLACE = re.compile(
    r"(?P<host>\*|0\.0\.0\.0|localhost|127(?:\.\d+){3}|\[::1?\])?:(?P<port>\d{4,5})\b"
)
_PORT = re.compile(r"(?P<before>--port[ =]|-- )(?P<port>\d{4,5})\b")
_PYFORK = """#!/bin/sh
# Who says no target means the server of this directory: other tests have theirs.
case "$*" in
status|"status --"*|sockets|reload|"reload --"*|upgrade|"upgrade --"*|stop|"stop --"*)
    set -- "$@" "$(ls -t "$XDG_RUNTIME_DIR"/pyfork/*.sock | head -n 1)" ;;
esac
exec {python} -m pyfork "$@"
"""
_PYTHON = """#!/bin/sh
[ "$1 $2" = "-m venv" ] && exit
exec {python} "$@"
"""
_NOTHING = "#!/bin/sh\n"
_DJANGO_ADMIN = '#!/bin/sh\nexec {python} -m django "$@"\n'


class Shown(Server):
    """A server that is started by a command as it is shown."""

    def __init__(self, line: str, place: "Scratch") -> None:
        self.own = "pyfork" in line
        directory = place.directory / f"server{len(place.servers)}"
        directory.mkdir()
        super().__init__(
            "", directory=directory, cwd=place.directory, env=place.environ, clean=self.own
        )
        self._command = ["bash", "-c", line]

    def wait_ready(self) -> None:
        self.until(self._serves, f"it serves: {self._command[-1]}")
        self.follow(self._process.pid)  # or whoever has followed it by the end

    def _serves(self) -> bool:
        assert self._process.poll() is None, f"it ended with {self._process.returncode}"
        if self.own:
            said = re.search(r"with (\d+) worker", self.log)  # what follows may ask for all of them
            return said is not None and self.log.count("is ready") >= int(said[1])
        return any(each.net_connections("inet") for each in self.processes())

    def stop(self) -> None:
        self._end()


class Scratch:
    """The project of one block, and what is started there."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory / "project"
        self.servers: list[Shown] = []
        self._stack = stack
        self._ports: dict[str, int] = defaultdict(free_port)
        shutil.copytree(Path(__file__).parent / "project", self.directory)
        (self.directory / "examples").symlink_to(ROOT / "examples")
        for path in self.directory.rglob("*.*"):
            if path.is_file() and path.suffix in (".py", ".toml"):
                path.write_text(self.here(path.read_text()))
        server = (ROOT / "examples/cluster/server.py").read_text()
        (self.directory / "server.py").write_text(self.here(server))
        for home in (".zsh", ".config/fish/completions"):
            (self.directory / home).mkdir(parents=True)
        for bin in ("bin", ".venv/bin", "release-42/bin"):
            (self.directory / bin).mkdir(parents=True)
            self._programs(self.directory / bin)
        (self.directory / ".venv/bin/activate").touch()
        (self.directory / "run").mkdir()
        self.environ = {
            "PATH": f"{self.directory}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.directory),
            "PYTHONPATH": str(ROOT),
            "XDG_RUNTIME_DIR": str(self.directory / "run"),
            "PYFORK_BIND": f"127.0.0.1:{self._ports['8000']}",  # for who names no address
        }

    def here(self, text: str) -> str:
        """``text`` with its places replaced by ours."""

        def place(found: re.Match[str]) -> str:
            host = found["host"] if found["host"] not in (None, "*", "0.0.0.0") else "127.0.0.1"
            return f"{host}:{self._ports[found['port']]}"

        text = _PLACE.sub(place, text)
        text = _PORT.sub(lambda found: f"{found['before']}{self._ports[found['port']]}", text)
        return re.sub(r"/(srv/shop|run)(?=/)", str(self.directory), text)

    def run(self, command: Command) -> None:
        """Run it. A server is awaited, and goes on in the background if it is shown there."""
        line = self.here(command.text)
        background = line.endswith("&") and not line.endswith("&&")
        if background or (serves(line) and not command.fails):
            shown = self._stack.enter_context(Shown(line.removesuffix("&").strip(), self))
            self.servers.append(shown)
            if not background:
                shown.stop()
            return
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE,
        )
        assert (done.returncode != 0) is command.fails, f"{line}: {done.returncode}\n{done.stdout}"

    def _programs(self, place: Path) -> None:
        programs = dict.fromkeys(STAND_INS, _NOTHING)
        programs |= {
            "django-admin": _DJANGO_ADMIN,
            "pyfork": _PYFORK,
            "python": _PYTHON,
            "python3": _PYTHON,
        }
        for name, script in programs.items():
            (place / name).write_text(script.format(python=sys.executable))
            (place / name).chmod(0o755)


def serves(line: str) -> bool:
    """Whether a command is a server that goes on until it is stopped."""
    words = [word for word in line.rpartition("&& ")[2].split() if not re.match(r"[A-Z_]+=", word)]
    if not words or Path(words[0]).name != "pyfork":
        return False
    return words[1:2] == [] or (words[1] not in ASKING and not set(words) & set(ENDING))


def asks(commands: list[Command]) -> bool:
    """Whether the first command that is ours is for a server that runs already."""
    found = re.search(r"\b(pyfork|curl)\b *(\w*)", "\n".join(each.text for each in commands))
    return bool(found) and (found[1] == "curl" or found[2] in ASKING)  # type: ignore[index]
