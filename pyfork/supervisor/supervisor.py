"""The decision core: facts in, actions out.

Who calls it knows the world: it feeds facts, performs actions, and asks again when a fact has
come or when `deadline` has passed. Here the world is a table of workers:

    Spawn -> BOOTING -> SERVING -> RETIRING -> KILLED
                   \\________\\______> DYING ____/         and Exited from anywhere

Facts only record. `actions` compares what is with what should be, in this order: whose time is
up; then either the stop, or which generation serves, who is not wanted, who is missing. What it
orders it records at once, so asking twice gives nothing the second time, and a lost or doubled
fact delays a decision but cannot spoil one.

    what should be     every slot 0..size-1 of the serving generation has a worker on duty;
                       so has, while a reload lasts, every slot of the candidate
    never              is a serving worker told to go before its successor serves,
                       unless a stop, a smaller size or WINCH is asked for

A graceful stop may have a drain delay: until it is over all goes on, but no reload.

Rules: no os, signal, socket, time, logging; no pid; time is what the caller says it is.
"""

from collections.abc import Callable, Iterable, Iterator

from pyfork.supervisor.actions import Abandon, Abort, Action, Adopt, Finish, Kill, Retire, Spawn
from pyfork.supervisor.events import (
    Alone,
    Asked,
    Exited,
    Fact,
    Failed,
    Policy,
    Promised,
    Ready,
    Reload,
    Scale,
    Wish,
    Worn,
)
from pyfork.supervisor.shutdown import Stop
from pyfork.supervisor.state import Failure, Generation, Haste, Kept, State, Worker

DYING_LIMIT = 1.5  # seconds to write stacks, or to exit after a failure
LOST_LIMIT = 5.0  # seconds after which a killed process that is stuck in the kernel is forgotten
SECOND_LOOK = 0.5  # seconds; see _expire_serving
OVERSLEPT = 1.0  # seconds by which it is asked so late that the whole machine was asleep
LATE = 0.1  # seconds by which this core is asked late, and not only a little
STILLBORN_LIMIT = 5  # deaths in the first generation with nobody ever ready

STOPPING = "the server is stopping"
NOT_NEEDED = "not needed any more"
SUPERSEDED = "a newer reload was asked for"
BLAMELESS = frozenset({STOPPING, NOT_NEEDED})  # reasons for a kill that are not the worker's fault


class Supervisor:
    """Keeps one generation of workers serving, and swaps it for the next."""

    def __init__(self, policy: Policy, *, first: int = 1, replaces: bool = False) -> None:
        """``first`` is the number of the first generation. ``replaces``: another arbiter serves
        until this generation is complete, and goes on serving if it fails."""
        self._serving = Generation(first, policy, policy.workers)
        self._candidate: Generation | None = None
        self._workers: dict[int, Worker] = {}  # by serial; from Spawn to Exited
        self._serial = 0  # the last one given
        self._newest = first  # the highest generation seen
        self._reloads: list[Reload] = []  # asked for, not yet begun
        self._stop = Stop()
        self._finished = False
        self._replaces = replaces

    @classmethod
    def resume(
        cls, policy: Policy, *, generation: int, size: int, workers: Iterable[Kept]
    ) -> "Supervisor":
        """Go on where another supervisor of this process was: ``generation`` serves."""
        resumed = cls(policy, first=generation)
        serving = resumed._serving
        serving.adopted, serving.anyone_ready, serving.size = True, True, size
        for kept in workers:
            resumed._workers[kept.serial] = kept.as_worker(serving)
            resumed._serial = max(resumed._serial, kept.serial)
        return resumed

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Every worker that is not known to be gone. To look at, not to change."""
        return tuple(self._workers.values())

    @property
    def serving(self) -> Generation:
        """The generation that serves, or at start is about to."""
        return self._serving

    @property
    def candidate(self) -> Generation | None:
        """The generation that a reload is booting."""
        return self._candidate

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.asked

    @property
    def haste(self) -> Haste:
        """How the stop that was asked for is made."""
        return self._stop.haste

    @property
    def leaving(self) -> bool:
        """Whether everything is on its way out: the stop's drain delay, if any, is over."""
        return self._stop.begun

    @property
    def yielding(self) -> bool:
        """Whether it stops only because another arbiter serves, and would carry on without it."""
        return self._stop.yielding

    @property
    def complete(self) -> bool:
        """Whether each slot of the serving generation has a worker that serves."""
        return self._is_complete(self._serving)

    # Facts: record, decide nothing.

    def feed(self, fact: Fact, now: float) -> None:
        """Record a fact. Facts about unknown workers are about dead ones, and change nothing."""
        if isinstance(fact, Asked):
            self._record_wish(fact.wish, now)
            return
        if isinstance(fact, Alone):
            self._replaces = False
            return
        worker = self._workers.get(fact.worker)
        if worker is None:
            return
        match fact:
            case Ready() if worker.state is State.BOOTING:
                worker.ready_at = now
                worker.generation.anyone_ready = True
                worker.become(State.SERVING, worker.next_look(now))
            case Failed(reason=reason, detail=detail) if worker.state is State.BOOTING:
                worker.become(State.DYING, now + DYING_LIMIT)
                self._record_loss(worker, now, Failure(reason, detail), fatal=True)
            case Exited(how=how):
                del self._workers[worker.serial]
                if worker.on_duty:
                    self._record_loss(worker, now, Failure(how))
            case Worn():
                worker.worn = True
            case Promised(deadline=deadline) if deadline != worker.promise:
                worker.promise, worker.suspect = deadline, False
                if worker.state is State.SERVING:
                    worker.due = worker.next_look(now)

    def _record_wish(self, wish: Wish | Reload | Scale, now: float) -> None:
        match wish:
            case Reload():
                self._reloads.append(wish)
            case Scale(workers=workers):
                self._resize(lambda size: workers)
            case Wish.SCALE_UP | Wish.SCALE_DOWN:
                step = 1 if wish is Wish.SCALE_UP else -1
                self._resize(lambda size: size + step)
            case Wish.RETIRE_ALL:
                self._serving.size = 0
                if self._candidate:
                    self._candidate.failure = Failure("all workers are being retired")
            case _:
                delay = self._serving.policy.drain_delay if self._serving.adopted else 0.0
                self._stop.record(wish, now, delay=delay)

    def _resize(self, resized: Callable[[int], int]) -> None:
        for generation in self._generations():
            if generation.size:  # else all were retired, until a reload
                generation.size = max(1, resized(generation.size))

    def _record_loss(
        self, worker: Worker, now: float, failure: Failure, *, fatal: bool = False
    ) -> None:
        """Record that a worker on duty will serve no more. ``fatal``: another would fare alike."""
        generation = worker.generation
        generation.backoff(worker.slot).died(now, worker.lived(now))
        if generation.adopted or self._proved(generation):
            return
        if generation is self._serving and not fatal:
            if generation.policy.persistent:
                return
            generation.stillborn += not generation.anyone_ready
            if generation.stillborn < STILLBORN_LIMIT:
                return
        generation.failure = generation.failure or failure

    def _proved(self, generation: Generation) -> bool:
        """Whether it serves already, though not at full strength: then it is never given up,
        since a slot whose boot failed may boot later (a deploy may not be complete yet)."""
        return generation is self._serving and generation.anyone_ready and not self._replaces

    # Decisions.

    def actions(self, now: float) -> list[Action]:
        """What is to be done now."""
        if self._finished:
            return []
        orders = list(self._expire(now))
        if self._serving.failure and not self.stopping:
            self._stop.fail(self._serving.failure.reason, now)
        orders += self._choose_generation()
        if self._stop.begin(now):
            orders += self._wind_down(now)
        else:  # in a drain delay too: the port is served as well as ever
            orders += self._dismiss(now)
            orders += self._fill(now)
        return orders

    def deadline(self) -> float | None:
        """When to ask again if no fact comes before; None: not at all."""
        times = [worker.due for worker in self._workers.values() if worker.due is not None]
        if not self._stop.begun:
            times += [self._serving.not_before(slot) for slot in self._vacancies()]
            times += [self._stop.at] if self.stopping else []
        return min(times, default=None)

    def _expire(self, now: float) -> Iterator[Action]:
        """Whose time is up."""
        for worker in self.workers:
            if worker.due is None or worker.due > now:
                continue
            overslept = now - worker.due > OVERSLEPT
            match worker.state:
                case State.BOOTING if overslept:
                    worker.due = now + worker.policy.boot_timeout
                case State.RETIRING if overslept:
                    worker.due = now + worker.policy.margin
                case State.BOOTING:
                    why = f"not ready within {worker.policy.boot_timeout:g} s"
                    yield self._abort(worker, now, why)
                    fatal = not worker.policy.persistent
                    self._record_loss(worker, now, Failure(why), fatal=fatal)
                case State.SERVING:
                    yield from self._expire_serving(worker, worker.due, now)
                case State.RETIRING:
                    yield self._kill(worker, now, "did not drain in time")
                case State.DYING:
                    yield self._kill(worker, now, "did not exit")
                case State.KILLED:
                    del self._workers[worker.serial]

    def _expire_serving(self, worker: Worker, due: float, now: float) -> Iterator[Action]:
        """A promise was broken, or there was none to look at.

        The whole machine may have been asleep (a paused container, a stopped process group): then
        every promise looks broken, and each worker has a moment to renew its own. So a promise is
        looked at twice, and the second look counts only if it comes when it was to come.
        """
        if not worker.promise:
            worker.due = worker.next_look(now)
        elif not worker.suspect or now - due > LATE:
            worker.suspect, worker.due = True, now + SECOND_LOOK
        else:
            why = f"hangs: gave no sign of life for {worker.policy.timeout:g} s"
            yield self._abort(worker, now, why)
            self._record_loss(worker, now, Failure(why))

    def _choose_generation(self) -> Iterator[Action]:
        """Begin the reloads that were asked for; end the one that is under way, if it can be."""
        for reload in self._reloads:
            if reload.generation <= self._newest:
                continue
            self._newest = reload.generation
            if self._candidate:
                yield self._abandon(self._candidate, Failure(SUPERSEDED))
            policy = reload.policy
            self._candidate = Generation(reload.generation, policy, policy.workers)
        self._reloads.clear()
        if self._candidate and self.stopping:
            yield self._abandon(self._candidate, Failure(STOPPING))
        elif self._candidate and self._candidate.failure:
            yield self._abandon(self._candidate, self._candidate.failure)
        for generation in self._generations():
            if not generation.adopted and not self.stopping and self._is_complete(generation):
                generation.adopted = True
                self._serving, self._candidate = generation, self._later_than(generation)
                yield Adopt(generation.number)

    def _wind_down(self, now: float) -> Iterator[Action]:
        """Everybody out; who is leaving already may be told to make haste."""
        stop = self._stop
        for worker in self.workers:
            grace = worker.policy.graceful_timeout if stop.haste is Haste.GRACEFUL else 0.0
            cut = max(stop.at + grace, now) + worker.policy.margin  # later if the machine slept
            forced = stop.haste is Haste.FORCED and worker.state is not State.KILLED
            late = worker.state is State.RETIRING and worker.due is not None and worker.due > cut
            if forced or worker.state is State.BOOTING:
                yield self._kill(worker, now, STOPPING)
            elif late or worker.state is State.SERVING:
                yield self._retire(worker, grace, cut)
        if not self._workers:
            self._finished = True
            yield Finish(stop.status, stop.reason)

    def _dismiss(self, now: float) -> Iterator[Action]:
        """Who is not wanted: of no generation that counts, in no slot of it, or succeeded."""
        generations = self._generations()
        youngest = {
            (worker.generation.number, worker.slot): worker.serial
            for worker in self.workers
            if worker.state is State.SERVING
        }
        for worker in self.workers:
            generation = worker.generation
            wanted = generation in generations and worker.slot < generation.size
            if worker.state is State.BOOTING and not wanted:
                yield self._kill(worker, now, NOT_NEEDED)
            elif worker.state is State.SERVING:
                succeeded = youngest[generation.number, worker.slot] != worker.serial
                if succeeded or not wanted:
                    grace = worker.policy.graceful_timeout
                    yield self._retire(worker, grace, now + grace + worker.policy.margin)

    def _fill(self, now: float) -> Iterator[Action]:
        """Who is missing."""
        for slot in self._vacancies():
            if self._serving.not_before(slot) <= now:
                yield self._spawn(self._serving, slot, now)
        if self._candidate:
            crew = self._on_duty(self._candidate)
            booting = sum(worker.state is State.BOOTING for worker in crew)
            staffed = {worker.slot for worker in crew}
            empty = [slot for slot in range(self._candidate.size) if slot not in staffed]
            for slot in empty[: max(0, self._candidate.policy.reload_parallel - booting)]:
                yield self._spawn(self._candidate, slot, now)

    def _vacancies(self) -> list[int]:
        """Slots of the serving generation that need one more worker: the empty ones, and one of
        the worn ones unless a successor boots already or a reload will bring them all."""
        crew = self._on_duty(self._serving)
        staffed = {worker.slot for worker in crew}
        empty = [slot for slot in range(self._serving.size) if slot not in staffed]
        worn = [worker.slot for worker in crew if worker.worn and worker.slot < self._serving.size]
        booting = {worker.slot for worker in crew if worker.state is State.BOOTING}
        if not worn or self._candidate or not booting.isdisjoint(worn):
            return empty
        return [*empty, min(worn, key=lambda slot: self._serving.not_before(slot))]

    # The table of workers.

    def _generations(self) -> list[Generation]:
        """Those that count, lowest first."""
        return [self._serving, self._candidate] if self._candidate else [self._serving]

    def _later_than(self, generation: Generation) -> Generation | None:
        return self._candidate if generation is not self._candidate else None

    def _on_duty(self, generation: Generation) -> list[Worker]:
        return [w for w in self.workers if w.on_duty and w.generation is generation]

    def _is_complete(self, generation: Generation) -> bool:
        serving = {w.slot for w in self._on_duty(generation) if w.state is State.SERVING}
        return bool(generation.size) and serving.issuperset(range(generation.size))

    # Orders: record what is ordered, and order it.

    def _spawn(self, generation: Generation, slot: int, now: float) -> Action:
        self._serial += 1
        if self._serial == 1:
            generation.full_from = now + generation.policy.head_start
        patience = generation.policy.boot_timeout
        self._workers[self._serial] = Worker(
            serial=self._serial,
            slot=slot,
            generation=generation,
            due=now + patience if patience else None,
        )
        return Spawn(self._serial, slot, generation.number)

    def _retire(self, worker: Worker, grace: float, cut: float) -> Action:
        worker.become(State.RETIRING, cut)
        return Retire(worker.serial, grace)

    def _abort(self, worker: Worker, now: float, reason: str) -> Action:
        worker.become(State.DYING, now + DYING_LIMIT)
        return Abort(worker.serial, reason)

    def _kill(self, worker: Worker, now: float, reason: str) -> Action:
        worker.become(State.KILLED, now + LOST_LIMIT)
        return Kill(worker.serial, reason)

    def _abandon(self, generation: Generation, failure: Failure) -> Action:
        self._candidate = None
        return Abandon(generation.number, failure.reason, failure.detail)
