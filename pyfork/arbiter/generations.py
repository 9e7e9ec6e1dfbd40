"""The configuration, certificates and listeners of each generation, and the reload results.

They are loaded and bound before the supervisor knows the generation. If one of them fails, nothing
has changed.
"""

from collections import deque
from collections.abc import Callable

from pyfork.arbiter.listeners.certificates import Certificates
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.config.config import Config
from pyfork.config.directory import Directory, Start
from pyfork.errors import PyforkError
from pyfork.ipc.messages import ErrorPageShown
from pyfork.record import record
from pyfork.supervisor.actions import Discard
from pyfork.supervisor.events import Policy, Reload

# Seconds. Workers that boot at the same time compete for the CPUs, and delay the first answer. A
# small application boots within this time. See docs/performance.md.
FIRST_WORKER_LEAD = 0.01

# Minimum time to keep a reload result, in seconds. Waiters poll once per loop iteration, and one
# iteration may produce several results.
_KEEP_SECONDS = 60.0


@record
class ReloadResult:
    """How a reload ended."""

    generation: int | None  # None: it was refused before it had a number
    at: float
    error: str = ""  # empty: its generation serves
    detail: str = ""  # the application's traceback
    error_page: bool = False  # its generation serves the error page of --reload


@record
class PreviousGeneration:
    """The generation before the one that serves, whose fork server was kept."""

    fork_server: int  # the generation that it was started for
    config: Config
    directory: Directory


class Generations:
    """The serving generation, and those that a reload has prepared.

    Args:
        config: of the first generation, whose listeners are bound by the caller.
        reread: returns the configuration anew; raises ConfigError.
        start: where pyfork was started.
        directory: of the first generation, if the program before an exec started it.
    """

    def __init__(
        self,
        config: Config,
        reread: Callable[[], Config],
        listeners: ListenerTable,
        *,
        start: Start,
        first: int = 1,
        directory: Directory | None = None,
    ) -> None:
        self.first = first
        self.start = start
        self._directories = {first: directory or start.enter(config.chdir)}
        self.certificates = Certificates()
        self._configs = {first: config}
        self._newest = first  # the last one that was prepared
        self._serving = first  # the last one that was activated
        self._reread = reread
        self._listeners = listeners
        self._outcomes: deque[ReloadResult] = deque()
        self._broken: dict[int, ErrorPageShown] = {}  # generations that will serve the error page
        self.previous: PreviousGeneration | None = None  # for a rollback
        self._fork_servers: dict[int, int] = {}  # of generations that a rollback made
        self._code: dict[int, list[float]] = {}  # that the first worker of each has imported
        self.mixed: set[int] = set()  # generations whose workers have imported different code
        self.error_page: ErrorPageShown | None = None  # that the serving generation shows

    @property
    def newest(self) -> int:
        """The number of the last generation that was prepared."""
        return self._newest

    @property
    def last(self) -> ReloadResult | None:
        """How the last reload ended."""
        return self._outcomes[-1] if self._outcomes else None

    def outcomes_after(self, known: ReloadResult | None) -> list[ReloadResult]:
        """The results of the reloads after ``known``, oldest first."""
        outcomes = list(self._outcomes)
        at = next((index for index, each in enumerate(outcomes) if each is known), -1)
        return outcomes[at + 1 :]

    def outcome(self, generation: int) -> ReloadResult | None:
        """The result of the reload to this generation; None: it is under way."""
        return next((each for each in self._outcomes if each.generation == generation), None)

    def config(self, generation: int) -> Config:
        """The configuration of a generation."""
        return self._configs[generation]

    @property
    def serving_config(self) -> Config:
        """The configuration of the generation that serves; at the start, of the first one."""
        return self._configs[self._serving]

    def directory(self, generation: int) -> Directory:
        """The working directory of a generation."""
        return self._directories[generation]

    def scheme(self, generation: int) -> str:
        """The URL scheme of a generation's listeners."""
        return "https" if self.certificates.for_generation(generation) else "http"

    def prepare_reload(self, now: float) -> Reload:
        """Read the configuration and bind what is new.

        Raises:
            PyforkError: a part of it failed, and nothing has changed.
        """
        generation = self._open(self._reread, now)
        config = self._configs[generation]
        self._directories[generation] = self.start.enter(config.chdir)
        return Reload(generation, policy(config))

    def prepare_rollback(self, now: float) -> Reload:
        """Make a generation of the configuration and the fork server that were kept.

        Raises:
            PyforkError: nothing was kept; all stays as it was.
        """
        previous = self.previous
        if previous is None:
            raise PyforkError(
                "no former generation is kept: it needs --preload, --keep-previous and a reload "
                "that left the addresses as they were"
            )
        config = previous.config
        generation = self._open(lambda: config, now)
        self._directories[generation] = previous.directory
        self._fork_servers[generation] = previous.fork_server
        return Reload(generation, policy(config, reload_parallel=config.workers))

    def fork_server(self, generation: int) -> int:
        """The generation that the fork server of ``generation`` was started for."""
        return self._fork_servers.get(generation, generation)

    def _open(self, read: Callable[[], Config], now: float) -> int:
        """Bind what a new generation needs. Raises PyforkError: all stays as it was."""
        generation = self._newest + 1
        try:
            config = read()
            self.certificates.open(generation, config)
            self._listeners.open(generation, config)
        except PyforkError as error:
            self.certificates.release(generation)
            self._note(ReloadResult(None, now, str(error), error.detail))
            raise
        self._newest = generation
        self._configs[generation] = config
        return generation

    def _keep_previous(self, generation: int) -> None:
        """``generation`` is about to serve: keep what the one before it needs to come back.

        Its fork server holds the listeners, so these must be the same: nobody would accept from
        one that only a fork server has.
        """
        config = self._configs[generation]
        before = max((each for each in self._configs if each < generation), default=None)
        self.previous = None
        if before is None:
            return
        old = self._configs[before]
        if config.keep_previous and old.preload and old.bind == config.bind:
            self.previous = PreviousGeneration(
                self.fork_server(before), old, self._directories[before]
            )

    def record_code(self, generation: int, code: list[float]) -> bool:
        """Record what a worker has imported. Returns whether another one is the first to differ."""
        if not code or code == self._code.setdefault(generation, code) or generation in self.mixed:
            return False
        self.mixed.add(generation)
        return True

    def record_boot_error(self, generation: int, why: ErrorPageShown) -> None:
        """Record that a generation serves the error page, since it does not load."""
        self._broken.setdefault(generation, why)

    def activate(self, generation: int, now: float) -> Config:
        """Release what only lower generations used. Returns the configuration of ``generation``."""
        self._keep_previous(generation)
        self._serving = generation
        self._configs = {each: kept for each, kept in self._configs.items() if each >= generation}
        self._directories = {n: kept for n, kept in self._directories.items() if n >= generation}
        self.certificates.release_below(generation)
        self._listeners.release_below(generation)
        why = self._broken.get(generation, ErrorPageShown("", ""))
        self._broken = {each: kept for each, kept in self._broken.items() if each > generation}
        self._code = {each: kept for each, kept in self._code.items() if each >= generation}
        self.mixed = {each for each in self.mixed if each >= generation}
        self._fork_servers = {n: kept for n, kept in self._fork_servers.items() if n >= generation}
        self.error_page = why if why.reason else None
        if generation > self.first:
            outcome = ReloadResult(
                generation, now, why.reason, why.detail, error_page=bool(why.reason)
            )
            self._note(outcome)
        return self._configs[generation]

    def _note(self, outcome: ReloadResult) -> None:
        while self._outcomes and self._outcomes[0].at < outcome.at - _KEEP_SECONDS:
            self._outcomes.popleft()
        self._outcomes.append(outcome)

    def discard(self, action: Discard, now: float) -> None:
        """Release what only a failed generation used."""
        self._configs.pop(action.generation, None)
        self._directories.pop(action.generation, None)
        self._fork_servers.pop(action.generation, None)
        self._broken.pop(action.generation, None)
        self.certificates.release(action.generation)
        self._listeners.release(action.generation)
        self._note(ReloadResult(action.generation, now, action.reason, action.detail))


def policy(config: Config, *, reload_parallel: int | None = None) -> Policy:
    """The supervisor's policy for a configuration; ``reload_parallel`` replaces its own."""
    parallel = config.boot_parallel
    if not parallel and config.workers > 1:
        from pyfork.system.cpus import usable  # it imports pathlib

        parallel = usable()
    return Policy(
        workers=config.workers,
        timeout=config.timeout,
        boot_timeout=config.boot_timeout,
        graceful_timeout=config.graceful_timeout,
        drain_delay=config.drain_delay,
        head_start=FIRST_WORKER_LEAD,
        boot_parallel=parallel,
        reload_parallel=reload_parallel or config.reload_parallel,
        margin=0.5 if config.reload else 2.0,
        persistent=config.reload,
    )
