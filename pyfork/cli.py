"""The command line: from argv to a Config and the arbiter, or to a running server.

The only place that prints and that decides on the exit status.
"""

import gc
import importlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from pyfork import __version__
from pyfork.compiled import is_compiled
from pyfork.config.command_line.arguments import Arguments, options, parse, usage
from pyfork.config.command_line.getopt import CommandSpec
from pyfork.config.config import Config
from pyfork.config.directory import Start
from pyfork.config.load import Loaded, load, table
from pyfork.config.script import for_script
from pyfork.config.sources.files_and_environment import FILES
from pyfork.config.sources.raw_value import RawValue
from pyfork.errors import ConfigError, ExitStatus, PyforkError
from pyfork.log.formatter import indented
from pyfork.system import environment

if TYPE_CHECKING:
    from pyfork.arbiter.upgrade.saved_state import Previous

_WORKER = "pyfork.worker.main"
_SCRIPT = "pyfork.cluster.script.managed"
_WATCHER = "pyfork.dev.watcher:main"
_ENGINE = (_WORKER, "pyfork.worker.wsgi.worker", "pyfork.worker.asgi.worker")
_PATIENCE = 10.0  # seconds for a running server to answer
_LOADING = "pyfork.loader.load"
_FIRST_WORD = "pyfork.loader.first_word"
_TLS = "pyfork.net.tls.context"
_CONTROL = "pyfork.ctl.commands"
_START = "pyfork.ctl.start"
_CLIENT = "pyfork.ctl.client"


def main(argv: Sequence[str]) -> int:
    """Run the command line ``argv`` (without the program's name); returns the exit status."""
    command = _COMMANDS.get(argv[0]) if argv else None
    try:
        if command is None and argv and argv[0].isidentifier():
            importlib.import_module(_FIRST_WORD).refuse_command(argv, _COMMANDS)
        return command(argv[1:]) if command else serve(argv)
    except PyforkError as error:
        print(f"pyfork: error: {indented(str(error))}", file=sys.stderr)
        if error.detail:
            print(indented(error.detail), file=sys.stderr)
        return error.status


def serve(argv: Sequence[str]) -> int:
    """``pyfork [serve] [OPTIONS] [APP]``."""
    arguments = parse(argv)
    if arguments.action in ("help", "help_all"):
        return _help("", whole=arguments.action == "help_all")
    if arguments.action == "version":
        return _show(f"pyfork {__version__}{' (compiled)' if is_compiled() else ''}")
    read = _reader(arguments)
    loaded = read()
    if loaded.config.app is None and arguments.action != "print_config":
        arguments = _with_discovered(arguments, loaded.config)
        read = _reader(arguments)
        loaded = read()
    _remark("warning", loaded.warnings)
    if arguments.action in ("print_config", "check_config"):
        _remark("note", loaded.notes)
    if arguments.action == "print_config":
        return _show(table(loaded))
    if str(loaded.config.app).isidentifier():
        first_word = importlib.import_module(_FIRST_WORD)
        first_word.refuse_missing(loaded.config, _directory(loaded.config), _COMMANDS)
    if arguments.action == "check_config":
        return _check(loaded.config)
    return _run(loaded, read, arguments)


def run(argv: Sequence[str]) -> int:
    """``pyfork run [OPTIONS] SCRIPT [-- ARGS]``, or ``-m MODULE`` in place of SCRIPT."""
    end = argv.index("--") if "--" in argv else len(argv)
    words, behind = list(argv[:end]), tuple(argv[end + 1 :])
    module = None
    if "-m" in words[:-1]:  # as Python's -m; the umask is --umask here
        at = words.index("-m")
        _, module = words.pop(at), words.pop(at)
    said = parse(words)
    if said.action in ("help", "help_all"):
        return _help("run", whole=said.action == "help_all")
    if said.action == "version":
        return serve(words)
    given = dict(said.given)
    if module is not None:
        given["app"] = RawValue(f"-m {module}", "-m")
    if end < len(argv):
        given["script_args"] = RawValue(behind, "--")
    arguments = Arguments(given, said.file, said.action, said.takeover, said.notes)
    read = _reader(arguments)
    loaded = for_script(read())
    _remark("warning", loaded.warnings)
    if arguments.action == "print_config":
        return _show(table(loaded))
    if loaded.config.app is None:
        raise ConfigError("no script given: write pyfork run server.py, or pyfork run -m MODULE")
    if arguments.action == "check_config":
        return _show(f"{loaded.config.app}: a script, not run")
    return _run(loaded, lambda: for_script(read()), arguments, worker=_SCRIPT)


def start(argv: Sequence[str]) -> int:
    """``pyfork start [run] ARGS``: as ``serve`` or ``run``, detached."""
    status: int = importlib.import_module(_START).run(argv, _show, partial(print, file=sys.stderr))
    return status


def operate(name: str, argv: Sequence[str]) -> int:
    """``pyfork list|status|sockets|reload|upgrade|stop|scale [OPTIONS] [TARGET]``."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a stopped command has not succeeded
        signal.signal(number, signal.SIG_DFL)
    commands = importlib.import_module(_CONTROL)
    status: int = commands.run(name, argv, _show, partial(print, file=sys.stderr))
    return status


def help_on(argv: Sequence[str]) -> int:
    """``pyfork help [COMMAND]``."""
    if not argv:
        return _help("", whole=False)
    command = _COMMANDS.get(argv[0])
    if command is None or command is help_on:
        raise ConfigError(f"{argv[0]}: no such command; pyfork help lists them")
    return command(["--help"])


def completion(argv: Sequence[str]) -> int:
    """``pyfork completion SHELL``."""
    from pyfork.config.command_line.completion import SHELLS, script

    shell = argv[0] if len(argv) == 1 else ""
    if shell in ("-h", "--help"):
        return _show(_COMPLETION)
    if shell not in SHELLS:
        raise ConfigError(f"name one shell: pyfork completion {'|'.join(SHELLS)}")
    return _show(script(shell, list(options()), _verbs()))


_COMPLETION = """Usage: pyfork completion bash|zsh|fish

  Print the script that completes pyfork's command lines.

  bash  pyfork completion bash > ~/.local/share/bash-completion/completions/pyfork
  zsh   pyfork completion zsh > "${fpath[1]}/_pyfork"
  fish  pyfork completion fish > ~/.config/fish/completions/pyfork.fish"""

_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "serve": serve,
    "run": run,
    "start": start,
    "completion": completion,
    "help": help_on,
    **{
        name: partial(operate, name)
        for name in (
            *("list", "ls", "ps", "status", "describe", "sockets", "logs", "history", "stack"),
            *("reload", "rollback", "restart", "drain", "resume", "scale", "upgrade"),
            *("stop", "unit", "top", "doctor"),
        )
    },
}
"""The first words that are commands; any other is an application or an option of ``serve``."""


def _verbs() -> list[CommandSpec]:
    """The commands, for people and for shells."""
    from pyfork.config.command_line.completion import SHELLS

    return [
        CommandSpec("serve", "Serve APP, as without a command."),
        CommandSpec(
            "run", "Run a script that opens its own port, in several processes on that port."
        ),
        CommandSpec("start", "Serve APP, or run a script, detached from this terminal."),
        *importlib.import_module(_CONTROL).verbs(),
        CommandSpec("help", "Show the options, or those of a command."),
        CommandSpec("completion", "Print a completion script for a shell.", (), tuple(SHELLS)),
    ]


def _help(verb: str, *, whole: bool) -> int:
    from pyfork.config.command_line.help import first_sentence, listing

    text = usage(verb, whole=whole)
    if not verb:
        verbs = {each.name: f"{first_sentence(each.help)}." for each in _verbs()}
        text += "\n\n" + listing("Commands (pyfork COMMAND --help)", verbs)
    return _show(text)


def _with_discovered(arguments: Arguments, config: Config) -> Arguments:
    """The same, with the one application of the directory. Raises ConfigError: there is not one."""
    one = importlib.import_module(_FIRST_WORD).only_application(_directory(config))
    kind = f" ({one.kind})" if one.kind else ""
    note = f"no application was given: {one.spec}{kind} was found in {one.path}"
    given = {**arguments.given, "app": RawValue(one.spec, f"found in {one.path}")}
    notes = (*arguments.notes, note)
    return Arguments(given, arguments.file, arguments.action, arguments.takeover, notes)


def _directory(config: Config) -> str:
    """Where the application is looked for."""
    return Start.of_process(os.environ).enter(config.chdir).base


def _reader(arguments: Arguments) -> Callable[[], Loaded]:
    """Reads the settings, now and at each reload, as seen from where pyfork was started.

    Notes about other servers' names are logged where a reload brings new ones.
    """
    environ = dict(os.environ)
    start = Start.of_process(environ)
    told: set[str] = set()

    def read() -> Loaded:
        first = not told
        start.check()
        loaded = load(arguments, environ, start.logical)
        for note in loaded.notes:
            if not first and note not in told:
                logging.getLogger("pyfork.error").info("%s", note)
        told.update(loaded.notes, [""])
        return loaded

    return read


def _run(
    loaded: Loaded, reread: Callable[[], Loaded], arguments: Arguments, *, worker: str = _WORKER
) -> int:
    from pyfork.arbiter.build import build
    from pyfork.arbiter.children.watcher import WatcherSpec
    from pyfork.log import streams

    streams.never_wait()
    # Imported here, once and before any fork, so that the workers share its memory pages and start
    # at once; by name, since only workers use it. The interface is not known before the app is, so
    # both gateways are; they have nearly everything in common.
    config, latest = loaded.config, loaded

    def reload() -> Config:
        nonlocal latest
        latest = reread()
        return latest.config

    for name in _ENGINE if worker == _WORKER else (worker,):
        importlib.import_module(name)
    for name in _libraries(config) if worker == _WORKER else ():
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    _collect_garbage()
    files = (arguments.file.removeprefix("file:"),) if arguments.file else FILES
    arbiter = build(
        config,
        reread=reload,
        origins=lambda: latest.origins,
        worker_main=f"{worker}:main",
        previous=_previous(config, takeover=arguments.takeover),
        watched=WatcherSpec(_WATCHER, files),
        notes=loaded.notes,
    )
    match environment.claim_upgrade(os.environ):  # if this is not reached, reexec retries
        case ("dry-run", _):
            arbiter.dry_run()
            return ExitStatus.OK
        case ("exec", fd):
            os.close(fd)
    return arbiter.run()


def _collect_garbage() -> None:
    """From now on; what is loaded already is none."""
    gc.freeze()
    gc.enable()


def _libraries(config: Config) -> list[str]:
    """The libraries that workers will use, as far as they are installed."""
    wanted = ["hashlib"]  # nearly every application: what OpenSSL sets up for it is shared then
    if config.loop != "asyncio":
        wanted.append("uvloop")
    if config.http == "h11":
        wanted.append("h11")
    elif config.worker_class == "uvicorn":
        wanted.append("httptools")
    if config.certfile:
        wanted.append("pyfork.http.tls.gateways")
    return wanted


def _previous(config: Config, *, takeover: bool) -> "Previous":
    """The predecessor: the program or arbiter of an upgrade, or a running server."""
    from pyfork.arbiter.upgrade import saved_state
    from pyfork.ipc.channel import Channel

    match environment.upgrade(os.environ):
        case ("exec" | "dry-run", fd):
            return saved_state.ExecState.load(fd)
        case ("spawn", fd):
            os.set_inheritable(fd, False)
            channel = Channel(socket.socket(fileno=fd))
            return saved_state.OldArbiter.receive_listeners(channel, _PATIENCE)
    if not takeover:
        return None
    client = importlib.import_module(_CLIENT)
    targets = [*([config.name] if config.name else []), *config.bind]
    if (running := client.find_running(targets, config.control)) is None:
        return None
    channel = Channel(running.request_takeover())
    running.close()
    return saved_state.OldArbiter.receive_listeners(channel, _PATIENCE)


def _check(config: Config) -> int:
    """Load the application as a worker would. This process ends with it."""
    loading = importlib.import_module(_LOADING)
    _collect_garbage()
    if config.certfile or config.keyfile or config.ca_certs:
        importlib.import_module(_TLS).load(config)
    loading.set_up_path(
        Start.of_process(os.environ).enter(config.chdir), config.pythonpath, config.env
    )
    app = loading.load(config.app, factory=config.factory, interface=config.interface)
    return _show(f"{config.app}: {app.interface.upper()} application, ready to serve")


def _remark(kind: str, lines: Sequence[str]) -> None:
    for line in lines:
        print(f"pyfork: {kind}: {line}", file=sys.stderr)


def _show(text: str) -> int:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader has closed the pipe: nothing is left to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitStatus.OK
