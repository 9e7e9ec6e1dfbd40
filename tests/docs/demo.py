"""docs/demo.svg: a recording of a real session as an animation: ``python -m tests.docs.demo FILE``.

The commands run on a pseudo-terminal, in a temporary directory. The drawing shows each line of
their output at the time at which it came; pauses are shortened.
"""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

from tests.harness.ports import free_port
from tests.harness.server import ROOT

COLUMNS, ROWS = 92, 22
LONGEST_PAUSE = 0.8  # seconds
_SGR = re.compile(r"\x1b\[([\d;]*)m")
_COLOURS = {
    "1": "font-weight:bold",
    "2": "fill:#8b949e",
    "31": "fill:#ff7b72",
    "32": "fill:#7ee787",
    "33": "fill:#e3b341",
    "34": "fill:#79c0ff",
    "35": "fill:#d2a8ff",
    "36": "fill:#79c0ff",
}
_APP = """\
from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello():
    return "Hello"
"""
_LOAD = """\
import http.client, signal, threading

end, answered, failed, opened = threading.Event(), [], [], []
signal.signal(signal.SIGTERM, lambda *_: end.set())

def client():
    connection = http.client.HTTPConnection("127.0.0.1", {port})
    connect = connection.connect
    connection.connect = lambda: (opened.append(1), connect())[1]
    while not end.is_set():
        try:
            connection.request("GET", "/")
            (answered if connection.getresponse().read() == b"Hello" else failed).append(1)
        except OSError:
            failed.append(1)

threads = [threading.Thread(target=client) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(f"{{len(answered):,}} requests answered, {{len(failed)}} failed, "
      f"{{len(opened) - 8}} connections closed")
"""

Line = tuple[float, str]


class Terminal:
    """A pseudo-terminal, and each line that is written to it with its time."""

    def __init__(self, directory: Path) -> None:
        self.lines: list[Line] = []
        self._directory = directory
        self._master, self._slave = pty.openpty()
        os.set_blocking(self._master, True)
        subprocess.run(["stty", "cols", str(COLUMNS), "rows", "60"], stdin=self._slave, check=True)
        self._environ = os.environ | {
            "TERM": "xterm-256color",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{directory}/bin:{os.environ['PATH']}",
            "XDG_RUNTIME_DIR": str(directory),
        }
        threading.Thread(target=self._read, daemon=True).start()

    def type(self, command: str) -> None:
        """Show a prompt with the command."""
        os.write(self._slave, f"\x1b[32m$\x1b[0m \x1b[1m{command}\x1b[0m\n".encode())

    def run(self, command: str) -> None:
        """Show a command, run it, and wait for its end."""
        self.type(command)
        time.sleep(0.5)
        self.start(command).wait(20)
        time.sleep(0.8)

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Run a command with the terminal."""
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}" if "|" not in command else command],
            cwd=self._directory,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=self._slave,
            stderr=self._slave,
        )

    def wait_for(self, text: str, since: int = 0) -> None:
        """Wait until a line since number ``since`` has ``text``."""
        deadline = time.monotonic() + 20
        while not any(text in line for _, line in self.lines[since:]):
            assert time.monotonic() < deadline, f"{text!r} is not there:\n{self.lines}"
            time.sleep(0.02)

    def _read(self) -> None:
        rest = ""
        while data := os.read(self._master, 65536):
            *lines, rest = (rest + data.decode(errors="replace")).split("\n")
            self.lines += [(time.monotonic(), line.rstrip("\r")) for line in lines]


def record(directory: Path) -> list[Line]:
    """Start, break, heal; then reloads under load."""
    port, file = free_port(), directory / "app.py"
    (directory / "bin").mkdir()
    for name, module in (("pyfork", "-m pyfork"), ("python", "")):
        (directory / "bin" / name).write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
        (directory / "bin" / name).chmod(0o755)
    file.write_text(_APP)
    (directory / "load.py").write_text(_LOAD.format(port=port))
    terminal = Terminal(directory)

    terminal.type("pyfork app:app --reload &")
    server = terminal.start(f"pyfork app:app --reload -b 127.0.0.1:{port}")
    terminal.wait_for("Ctrl-C")
    time.sleep(1.5)
    terminal.run(f"curl -s -w '\\n' 127.0.0.1:{port}")
    before = len(terminal.lines)
    terminal.run("sed -i 's/return/retrun/' app.py         # break it")
    terminal.wait_for("app.py", before + 1)
    time.sleep(1.5)
    terminal.run(f"curl -s 127.0.0.1:{port} | head -n 4")
    before = len(terminal.lines)
    terminal.run("sed -i 's/retrun/return/' app.py         # fix it")
    terminal.wait_for("reloaded", before)
    terminal.run(f"curl -s -w '\\n' 127.0.0.1:{port}")
    server.send_signal(signal.SIGINT)
    server.wait(10)

    log = directory / "shop.log"
    log.touch()
    terminal.type("pyfork app:app -w 4 -n shop 2>shop.log &       # in production")
    server = terminal.start(f"pyfork app:app -w 4 -n shop -b 127.0.0.1:{port} 2>shop.log")
    wait_until(lambda: log.read_text().count("is ready") >= 4)
    terminal.type("python load.py &                               # 8 busy clients")
    load = terminal.start("python load.py")
    time.sleep(0.7)
    terminal.run("pyfork reload shop --wait")
    terminal.run("sed -i 's/return/retrun/' app.py         # a bad deploy")
    terminal.run("pyfork reload shop --wait")
    terminal.type("kill %2                                        # the clients")
    load.terminate()
    load.wait(20)
    time.sleep(0.3)
    server.terminate()
    server.wait(10)
    return [(at, line.replace(str(port), "8000")) for at, line in terminal.lines]


def wait_until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def drawing(lines: list[Line], pause: float = 4) -> str:
    """The animation: a line becomes visible at its time, and the page scrolls with it."""
    times, now, before = [], 0.0, lines[0][0]
    for at, _ in lines:
        now += min(at - before, LONGEST_PAUSE)
        times.append(now + 0.3)
        before = at
    whole = times[-1] + pause
    height, top, step = ROWS * 18 + 48, 50, 18
    style, texts, scroll = [], [], ["0%{transform:translateY(0)}"]
    shown: list[tuple[float, str]] = []
    for at, (_, line) in zip(times, lines, strict=True):
        shown += [(at, part) for part in _wrapped(line)]
    moments = sorted({at for at, _ in shown})
    for number, at in enumerate(moments):
        percent = 100 * at / whole
        style.append(
            f"@keyframes k{number}{{0%,{percent:.2f}%{{opacity:0}}{percent + 0.01:.2f}%,"
            f"99.9%{{opacity:1}}100%{{opacity:0}}}}.k{number}{{animation:k{number} {whole:.1f}s "
            "linear infinite}"
        )
        rows = sum(1 for moment, _ in shown if moment <= at)
        if rows > ROWS:
            scroll.append(f"{percent:.2f}%{{transform:translateY(-{(rows - ROWS) * step}px)}}")
    for row, (at, part) in enumerate(shown):
        texts.append(
            f'<text class="k{moments.index(at)}" x="16" y="{top + row * step}" '
            f'xml:space="preserve">{_spans(part)}</text>'
        )
    width = int(COLUMNS * 8.45) + 32
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="A terminal: pyfork starts, shows an error, recovers, and reloads under load">'
        "<style>text{font:14px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        f"fill:#e6edf3}}.s{{animation:s {whole:.1f}s step-end infinite}}@keyframes s{{"
        f"{''.join(scroll)}}}{''.join(style)}"
        "@media (prefers-reduced-motion){*{animation:none!important}}</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>'
        '<circle cx="20" cy="18" r="6" fill="#ff5f56"/><circle cx="40" cy="18" r="6" '
        'fill="#ffbd2e"/><circle cx="60" cy="18" r="6" fill="#27c93f"/>\n'
        f'<svg y="36" height="{height - 40}" width="{width}" viewBox="0 36 {width} {height - 40}">'
        f'<g class="s">\n{chr(10).join(texts)}\n</g></svg></svg>\n'
    )


def _wrapped(line: str) -> list[str]:
    """The line in pieces of one row; styles count as nothing."""
    parts, room = [""], COLUMNS
    for piece in re.split(r"(\x1b\[[\d;]*m)", line):
        if _SGR.fullmatch(piece):
            parts[-1] += piece
            continue
        while len(piece) > room:
            parts[-1] += piece[:room]
            parts.append("")
            piece, room = piece[room:], COLUMNS
        parts[-1] += piece
        room -= len(piece)
    return parts


def _spans(line: str) -> str:
    found, style = [], ""
    for at, piece in enumerate(_SGR.split(line)):
        if at % 2:
            codes = [code for code in piece.split(";") if code in _COLOURS]
            style = ";".join(_COLOURS[code] for code in codes)
        elif piece:
            text = escape(re.sub(r"[\x00-\x1f]", "", piece))
            found.append(f'<tspan style="{style}">{text}</tspan>' if style else text)
    return "".join(found)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        lines = record(Path(directory))
    shown = [(at, line.replace(directory, "~")) for at, line in lines]
    Path(sys.argv[1]).write_text(drawing(shown))


if __name__ == "__main__":
    main()
