"""The watcher: one child of the arbiter that says when files have changed.

The system's events only wake it. A change is a difference between two snapshots of the files,
so an event that was lost, doubled or misunderstood (a package renamed, a branch checked out) costs
nothing. Exactly the directories that count are watched, none below them: what happens in a virtual
environment or in node_modules does not even wake it.

Rules: reads no file, decides nothing. It ends with the arbiter.
"""

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pyfork.child.arbiter_loss import exit_when_closed
from pyfork.child.privileges import drop_privileges
from pyfork.child.signals import ignore_arbiter_signals
from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.dev.watch_filter import Signature, Snapshot, WatchFilter
from pyfork.errors import BootError, ExitStatus
from pyfork.ipc.channel import Channel
from pyfork.ipc.messages import FilesChanged

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

log = logging.getLogger("pyfork.error")

POLL = 0.5  # seconds between two looks where the system does not tell
SHORTEST = 0.005  # seconds between two looks at what the system told
LONGEST = 0.5  # seconds after which changes without a pause are a reload; more with a long delay
CLOCK_TICK = 0.02  # seconds by which a file's time may be behind the clock
_NOTED = 3600.0  # seconds in which the system's silence is believed

Wait = Callable[[Snapshot], bool]
"""Waits until something may have happened. Whether the directories are still the right ones."""


def main(
    config: Config, directory: Directory, channel: Channel, files: tuple[str, ...], since: float
) -> int:
    """Watch until the arbiter is gone.

    Args:
        directory: of the generation that serves.
        files: watched beside what the configuration says, as seen from the current directory.
        since: wall clock; what is younger has changed unseen.
    """
    ignore_arbiter_signals()
    for number in (signal.SIGQUIT, signal.SIGTERM):  # sent to the group, they mean the arbiter
        signal.signal(number, signal.SIG_IGN)
    try:
        drop_privileges(config)
    except BootError as error:
        log.error("%s", error)
        return error.status
    with suppress(OSError):  # the code that works there reports that it is gone
        os.chdir(directory.base)
    interest = WatchFilter.of(config, files, directory.base)
    for root in interest.directories:
        if not os.path.isdir(root):
            log.warning("there is no directory %s to watch", root)
    with exit_when_closed(channel.fileno()):
        Watcher(config, interest, channel).run(since)
    return ExitStatus.OK


class Watcher:
    """Looks, waits, and looks again."""

    def __init__(self, config: Config, interest: WatchFilter, channel: Channel) -> None:
        self._interest = interest
        self._channel = channel
        self._pause = max(config.reload_delay, SHORTEST)
        self._longest = max(LONGEST, 5 * self._pause)
        self._polling = config.reload_engine == "poll"
        self._known = Snapshot({}, frozenset())

    def run(self, since: float) -> None:
        """For ever."""
        self._known = self._interest.scan()
        newest = (since - CLOCK_TICK) * 1e9
        self._tell({path for path, sign in self._known.files.items() if sign[0] > newest}, {})
        while True:
            notify = None if self._polling else self._listen()
            directories = self._known.directories
            self._settle()
            self._compare()  # what happened since the last look, before anybody listened
            while self._known.directories == directories:
                self._wait(notify)
                self._compare()

    def _listen(self) -> "RustNotify | None":
        """Events of the directories that are known; None where the system does not tell."""
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

        try:
            return RustNotify(sorted(self._known.directories), False, False, 0, False, True)
        except FileNotFoundError:  # one has just gone: look again, at once
            return None
        except (OSError, WatchfilesRustInternalError) as error:
            self._polling = True
            log.warning(
                "the system does not tell of changes (%s): looking at the files every %g s; "
                "see fs.inotify.max_user_watches and max_user_instances",
                error,
                POLL,
            )
            return None

    def _wait(self, notify: "RustNotify | None") -> None:
        """Until something that matters may have happened, and nothing more does."""
        if notify is None:
            time.sleep(POLL if self._polling else SHORTEST)
            self._settle()
            return
        longest, pause, noted = (round(s * 1000) for s in (self._longest, self._pause, _NOTED))
        while True:
            events = notify.watch(longest, pause, noted, None)
            if not isinstance(events, set):  # a signal, or a very long silence
                return
            if any(self._interest.matches(path, self._known) for _, path in events):
                return

    def _settle(self) -> None:
        """Where something has changed, look until two looks see the same, or long enough."""
        until = time.monotonic() + self._longest
        before = self._interest.scan()
        while before.files != self._known.files and time.monotonic() < until:
            time.sleep(self._pause)
            now = self._interest.scan()
            if now.files == before.files:
                return
            before = now

    def _compare(self) -> None:
        """Look, and tell what differs."""
        before, self._known = self._known, self._interest.scan()
        changed = {
            path for path, sign in self._known.files.items() if before.files.get(path) != sign
        }
        self._tell(changed, before.files)

    def _tell(self, changed: set[str], before: dict[str, Signature]) -> None:
        now = self._known.files
        gone = before.keys() - now.keys()
        if not (changed or gone):
            return
        newest = max(changed, key=lambda path: now[path][0], default=min(gone, default=""))
        verb = "was deleted" if newest in gone else "changed" if newest in before else "is new"
        self._channel.send(
            FilesChanged(
                path=os.path.relpath(newest),
                verb=verb if before else "changed",
                others=len(changed) + len(gone) - 1,
                at=_saved_at(now[newest]) if newest in now else time.monotonic(),
            )
        )


def _saved_at(sign: Signature) -> float:
    """When, in monotonic seconds, a file was saved; now, if its time says something strange."""
    age = time.time() - sign[0] / 1e9
    return time.monotonic() - (age if 0.0 < age < LONGEST + POLL else 0.0)
