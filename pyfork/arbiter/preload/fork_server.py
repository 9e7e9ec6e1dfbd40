"""The process of a fork server: it imports the application once, and forks workers on request.

A worker is forked twice, so that the kernel makes it a child of the arbiter. The arbiter hears of
its process id from the worker itself, on the worker's own channel: if the fork server dies before
the fork, that channel closes with it.
"""

import logging
import os
import select
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pyfork.arbiter.workers import fork
from pyfork.arbiter.workers.child import run_worker, set_up_process
from pyfork.arbiter.workers.hooks import OperatorHooks
from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.errors import BootError, ConfigError, ExitStatus
from pyfork.ipc import messages, titles
from pyfork.ipc.channel import Channel, ChannelClosed
from pyfork.ipc.connection_queue import ConnectionQueue
from pyfork.ipc.fd_queue import FdQueueReader
from pyfork.ipc.scoreboard import Scoreboard
from pyfork.ipc.stack_file import StackFile
from pyfork.ipc.worker_args import WorkerArgs, WorkerMain
from pyfork.log import setup
from pyfork.net.tls.pem_files import PemFiles
from pyfork.record import asdict, record

if TYPE_CHECKING:
    from pyfork.net.tls.context import TlsContexts

log = logging.getLogger("pyfork.error")

PRELOAD = "pyfork.worker.preload:load"  # resolved in the child

Preload = Callable[[Config, Directory, int], WorkerMain]
"""Imports the application; returns what each worker runs. Raises BootError."""


@record(kw_only=True)
class ForkServerArgs:
    """Everything a fork server gets from its arbiter."""

    config: Config
    generation: int
    directory: Directory
    channel: Channel  # its own end
    listeners: tuple[socket.socket, ...]  # of its generation, in the order of config.bind
    scoreboard: Scoreboard
    queue: ConnectionQueue  # of the whole server
    hooks: OperatorHooks
    tls: "TlsContexts | None"
    own_log: bool  # its log is not the arbiter's, but what ``config`` says


def run(args: ForkServerArgs) -> int:
    """Import the application, and fork workers until the arbiter closes the channel."""
    setup.identify("fork server", generation=args.generation)
    titles.set_title(titles.fork_server_title(args.config.name, args.generation))
    preload: Preload = fork.import_name(PRELOAD)
    try:
        set_up_process(args.config, args.directory, own_log=args.own_log)
        main = preload(args.config, args.directory, args.channel.fileno())
    except (BootError, ConfigError) as error:
        args.channel.send(messages.Failed(str(error), error.detail))
        _wait_for_end(args.channel)  # the requests for workers end with this process
        return ExitStatus.BOOT
    args.channel.send(messages.ForkServerReady())
    _serve(args, main)
    return ExitStatus.OK


def _serve(args: ForkServerArgs, main: WorkerMain) -> None:
    while True:
        select.select([args.channel], [], [])
        try:
            received = args.channel.receive()
        except ChannelClosed:
            return
        for index, item in enumerate(received, start=1):
            match item.message:
                case messages.ForkWorker() as order if item.fds:
                    of_others = [fd for later in received[index:] for fd in later.fds]
                    _fork_worker(args, main, order, item.fds, of_others)
                case messages.UpdateCertificates() as update if args.tls is not None:
                    args.tls.renew(PemFiles(**asdict(update)))
                case messages.ReopenLogs():
                    setup.reopen()
                case _:
                    log.error("no fork server understands %r", item.message)


def _wait_for_end(channel: Channel) -> None:
    """Wait until the arbiter closes the channel. Requests stay unread: their end is its cue."""
    poll = select.poll()
    poll.register(channel, 0)
    poll.poll()  # it tells of a hang-up only


def _fork_worker(
    args: ForkServerArgs,
    main: WorkerMain,
    order: messages.ForkWorker,
    fds: tuple[int, ...],
    of_others: Sequence[int],
) -> None:
    """Fork one worker.

    Args:
        fds: the worker's end of its channel, those of its queues, and its stack file.
        of_others: those of the next workers, closed in this one: a copy would hide their end.
    """
    ends = [socket.socket(fileno=fd) for fd in fds[:-1]]
    stacks = StackFile(fds[-1])
    closers = [partial(os.close, fd) for fd in of_others]
    try:
        run = partial(_run_worker, args, main, order, ends, stacks)
        fork.fork_reparented(run, args.channel.close, *closers)
    except OSError as error:
        log.error("cannot fork worker %d: %s", order.slot, error)
    finally:
        for end in ends:
            end.close()
        stacks.close()


def _run_worker(
    args: ForkServerArgs,
    main: WorkerMain,
    order: messages.ForkWorker,
    ends: list[socket.socket],
    stacks: StackFile,
) -> int:
    setup.identify("worker", order.slot, order.generation)
    channel = Channel(ends[0])
    channel.send(messages.WorkerStarted(os.getpid()))
    row = args.scoreboard.row(order.row)
    queues = tuple(FdQueueReader(end) for end in ends[1:])
    addresses = tuple(listener.getsockname() for listener in args.listeners)
    if queues or order.adds_listeners:
        for listener in args.listeners:
            listener.close()
    return run_worker(
        main,
        WorkerArgs(
            config=args.config,
            slot=order.slot,
            generation=order.generation,
            listeners=queues or (() if order.adds_listeners else args.listeners),
            channel=channel,
            row=row,
            scoreboard=args.scoreboard,
            directory=args.directory,
            addresses=addresses,
            hold_accept=order.hold_accept,
            hook_worker=args.hooks.hook_worker_of(
                args.config,
                age=order.worker,
                slot=order.slot,
                generation=order.generation,
                row=row,
            ),
            queue=args.queue,
            tls=args.tls,
            stacks=stacks,
        ),
    )
