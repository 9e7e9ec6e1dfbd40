"""pyfork beside the others: python -m tests.bench [OPTIONS].

Each server runs on a core of its own and the load on another. Prints a table for each case when
all rounds are over, or when it is interrupted; what happens meanwhile goes to stderr.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tests.bench import cases, load, page, peers, plot, report
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
    one.add_argument("--seconds", type=int, help="how long a load lasts (2)")
    one.add_argument("--quick", action="store_true", help="one round of one second")
    one.add_argument("--cases", help="separated by commas; all without")
    one.add_argument("--peers", help="separated by commas; those of each case without")
    one.add_argument("--list", action="store_true", help="show all cases and peers")
    one.add_argument("--load", nargs="+", type=Path, metavar="FILE", help="measure nothing: read")
    one.add_argument("--json", type=Path, metavar="FILE", help="write all figures as they come")
    one.add_argument("--resume", action="store_true", help="go on with what that file has")
    one.add_argument("--plot", type=Path, metavar="FILE", help="draw them, as SVG")
    one.add_argument(
        "--write", nargs="+", default=(), type=Path, metavar="PAGE", help="and put them into pages"
    )
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
        asked = case.asks(peers.PEERS, named=False)
        print(f"{case.name:12} {case.title}: {len(asked)} servers")
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
    servers = pick(peers.PEERS, options.peers)
    named = bool(options.peers)
    chosen = [(case, case.asks(servers, named=named)) for case in pick(cases.CASES, options.cases)]
    plan = [(case, asked) for case, asked in chosen if asked]
    if not load.installed():
        raise Unfit(load.MISSING)
    for path in options.write:
        page.check(path)
    cores = Cores.divide(os.sched_getaffinity(0))
    if options.quick:
        bench = Bench(cores, options.seconds or 1, reloads=1)
    else:
        bench = Bench(cores, options.seconds or 2)
    rounds = options.rounds or (1 if options.quick else 5)
    run = resumed(new_run(servers, said(options), rounds, bench.seconds), options)
    if (busy := os.getloadavg()[0]) > BUSY:
        say(f"others use this machine (load average {busy:.1f}): figures will be low and spread")
    raise_file_limit(FILES)
    pin_load(cores)
    try:
        measure(run, plan, bench, say, lambda run: keep(run, options))
    except (KeyboardInterrupt, SystemExit):
        if options.json:
            say(f"interrupted; the same command with --resume goes on with {options.json}")
        raise
    finally:
        for result in run.results:
            print(report.table(result), end="\n\n", flush=True)
    return run


def resumed(run: Run, options: argparse.Namespace) -> Run:
    """This one with the figures of its file, if it is to go on. Raises Unfit if they differ."""
    if not options.resume:
        return run
    if not options.json:
        raise Unfit("--resume goes on with the file of --json: name it")
    if options.json.exists():
        former = Run.from_dict(json.loads(options.json.read_text()))
        if not run.same_place(former):
            raise Unfit(f"{options.json} was measured with another load, machine or software")
        run.results = former.results
        run.date = former.date
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
    """What was measured so far: who interrupts a long run shall not lose it, at any moment."""
    if options.json:
        fresh = options.json.with_suffix(".new")
        fresh.write_text(json.dumps(run.as_dict(), indent=1) + "\n")
        fresh.replace(options.json)


def show(run: Run, options: argparse.Namespace) -> None:
    """Wherever it was asked for."""
    keep(run, options)
    if options.load and not (options.json or options.plot or options.write):
        for result in run.results:
            print(report.table(result), end="\n\n")
    if options.plot:
        options.plot.write_text(plot.draw(run.results))
    for path in options.write:
        page.write(path, run)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
