"""pyfork beside the others: python -m tests.bench [OPTIONS].

Each server runs on a core of its own and the load on another. Prints a table for each case when
all its rounds are over; what happens meanwhile goes to stderr.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tests.bench import cases, load, peers, plot, report
from tests.bench.cases.case import Bench, Case, pin_load, raise_file_limit
from tests.bench.measure import Run, measure, new_run
from tests.bench.peers import Peer
from tests.bench.running import Cores, Unfit

Named = TypeVar("Named", Case, Peer)

BUSY = 0.5  # load average
FILES = 12_000  # what 5,000 connections and their clients need


def parser() -> argparse.ArgumentParser:
    """The command line."""
    one = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    one.add_argument("--rounds", type=int, help="how often each is measured (5)")
    one.add_argument("--seconds", type=int, help="how long a load lasts (4)")
    one.add_argument("--quick", action="store_true", help="one round of one second")
    one.add_argument("--cases", help="separated by commas; all without")
    one.add_argument("--peers", help="separated by commas; all without")
    one.add_argument("--list", action="store_true", help="show all cases and peers")
    one.add_argument("--load", nargs="+", type=Path, metavar="FILE", help="measure nothing: read")
    one.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    one.add_argument("--plot", type=Path, metavar="FILE", help="draw them, as SVG")
    one.add_argument("--write", type=Path, metavar="PAGE", help="write tables and plot into a page")
    return one


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    commandline = parser()
    options = commandline.parse_args(arguments)
    if options.list:
        return show_all()
    # TERM ends what was started, as ^C does.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        run = read(options.load) if options.load else perform(options)
    except (Unfit, OSError) as error:
        commandline.error(str(error))
    show(run, options)
    return 0


def show_all() -> int:
    """What there is to choose from."""
    for case in cases.CASES:
        print(f"{case.name:14}{case.title}")
    print()
    for peer in peers.PEERS:
        missing = peer.missing()
        print(f"{peer.name:18}{f'not installed: {missing}' if missing else peer.versions}")
    return 0


def pick(known: Sequence[Named], names: str | None) -> list[Named]:
    """Those that are asked for, separated by commas; all without. Raises Unfit."""
    by_name = {each.name: each for each in known}
    asked = names.split(",") if names else list(by_name)
    if unknown := [name for name in asked if name not in by_name]:
        raise Unfit(f"no {', '.join(unknown)} among {', '.join(by_name)}")
    return [by_name[name] for name in asked]


def read(paths: Sequence[Path]) -> Run:
    """Former runs as one, cases in our order."""
    run = report.merged([Run.from_dict(json.loads(path.read_text())) for path in paths])
    order = [case.name for case in cases.CASES]
    run.results.sort(key=lambda result: order.index(result.name))
    return run


def perform(options: argparse.Namespace) -> Run:
    """Measure. Raises Unfit for what there is not, and where nothing can be measured."""
    chosen = pick(cases.CASES, options.cases)
    servers = pick(peers.PEERS, options.peers)
    if not load.installed():
        raise Unfit(load.MISSING)
    if options.write and not report.has_markers(options.write.read_text()):
        raise Unfit(f"{options.write} has no {report.BEGIN} and {report.END} to write between")
    cores = Cores.divide(os.sched_getaffinity(0))
    if (busy := os.getloadavg()[0]) > BUSY:
        say(f"others use this machine (load average {busy:.1f}): figures will be low and spread")
    raise_file_limit(FILES)
    pin_load(cores)
    if options.quick:
        bench = Bench(cores, options.seconds or 1, reloads=2)
    else:
        bench = Bench(cores, options.seconds or 4)
    rounds = options.rounds or (1 if options.quick else 5)
    run = new_run(servers, said(options), rounds, bench.seconds)
    for case in chosen:
        result = measure(case, servers, bench, rounds, say)
        if result.rounds or result.failures:
            run.results.append(result)
            print(report.table(result), end="\n\n", flush=True)
            keep(run, options)
    return run


def said(options: argparse.Namespace) -> list[str]:
    """What of the command line shapes the figures, as who repeats it has to say it."""
    words = ["--quick"] if options.quick else []
    for name in ("rounds", "seconds", "cases", "peers"):
        if value := getattr(options, name):
            words += [f"--{name}", str(value)]
    return words


def say(line: str) -> None:
    """What happens, to whoever waits."""
    print(line, file=sys.stderr, flush=True)


def keep(run: Run, options: argparse.Namespace) -> None:
    """What was measured so far: who interrupts a long run shall not lose it."""
    if options.json:
        options.json.write_text(json.dumps(run.as_dict(), indent=1) + "\n")


def show(run: Run, options: argparse.Namespace) -> None:
    """Wherever it was asked for."""
    keep(run, options)
    if options.load and not (options.json or options.plot or options.write):
        for result in run.results:
            print(report.table(result), end="\n\n")
    if options.plot:
        options.plot.write_text(plot.draw(run.results))
    if options.write:
        drawing = options.write.with_suffix(".svg")
        drawing.write_text(plot.draw(run.results))
        content = report.page(run, drawing.name)
        options.write.write_text(report.write_between(options.write.read_text(), content))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
