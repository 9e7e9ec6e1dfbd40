"""The load on a server: wrk, in one thread on the load's core."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.running import Unfit

MISSING = "wrk is needed and is not installed: apt-get install wrk"

# What wrk ends with, for programs.
_DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  local line = '{"requests":%d,"seconds":%f,"bytes":%d,"wrong":%d,"lost":%d,"p99":%f}\\n'
  io.write(line:format(summary.requests, summary.duration / 1e6, summary.bytes,
    e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(99) / 1e3))
end
"""

_SAME = """
wrk.headers, wrk.path = fields, path
"""

# Many requests, made beforehand; each connection gets another one each time.
_VARIED = """
local made, turn = {}, 0
init = function(args)
  for n = 1, 5000 do
    local number = string.format("%06d", n)
    local headers = {Host = wrk.headers["Host"]}
    for name, value in pairs(fields) do headers[name] = value:gsub("{n}", number) end
    made[n] = wrk.format(wrk.method, path:gsub("{n}", number), headers)
  end
end
request = function()
  turn = turn % #made + 1
  return made[turn]
end
"""


@dataclass(frozen=True)
class Ask:
    """A request, and what its answer must be; {n} in path and fields is a number that varies."""

    method: str = "GET"
    path: str = "/"
    fields: Mapping[str, str] | None = None
    body: bytes = b""
    expect: bytes | int | None = None  # the body, or its length

    def first(self) -> "Ask":
        """One of those that vary."""
        fields = {name: text.replace("{n}", "0") for name, text in (self.fields or {}).items()}
        return replace(self, path=self.path.replace("{n}", "0"), fields=fields)


@dataclass(frozen=True)
class Outcome:
    """What a load has reached."""

    requests: int
    seconds: float
    bytes: int
    wrong: int  # answers of another status than 2xx and 3xx
    lost: int  # errors of sockets
    p99: float  # ms

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def installed() -> bool:
    """Whether there is a wrk."""
    return shutil.which("wrk") is not None


def wrk(port: int, ask: Ask, *, connections: int, seconds: int, scheme: str = "http") -> Outcome:
    """Ask over and over. Raises Unfit if answers are wrong, or more than one of 100 fails."""
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "ask.lua"
        script.write_text(_script(ask, Path(directory) / "body"))
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script)]
        done = subprocess.run(
            [*words, f"{scheme}://127.0.0.1:{port}/"],
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            check=False,
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"requests"')]
    if done.returncode or not lines:
        raise Unfit(f"wrk failed: {(done.stderr or done.stdout).strip()[:200]}")
    outcome = Outcome(**json.loads(lines[0]))
    if outcome.wrong:
        raise Unfit(f"{outcome.wrong} of {outcome.requests} answers have a wrong status")
    if outcome.lost > outcome.requests / 100:
        raise Unfit(f"{outcome.lost} errors of sockets, beside {outcome.requests} answers")
    return outcome


def _script(ask: Ask, body: Path) -> str:
    """The request in Lua; the body is read from a file."""
    lines = [f'wrk.method = "{ask.method}"']
    if ask.body:
        body.write_bytes(ask.body)
        lines.append(f'wrk.body = io.open("{body}", "rb"):read("*a")')
    fields = [f"[{_quoted(n)}] = {_quoted(v)}" for n, v in (ask.fields or {}).items()]
    lines.append(f"fields = {{{', '.join(fields)}}}")
    lines.append(f"path = {_quoted(ask.path)}")
    return "\n".join([*lines, _VARIED if "{n}" in ask.path else _SAME, _DONE])


def _quoted(text: str) -> str:
    """As a string of Lua."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
