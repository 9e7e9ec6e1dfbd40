"""The decision core: facts in, actions out.

Who calls it knows the world: it feeds facts, performs actions, and asks again when a fact has
come or when `deadline` has passed. Here the world is a table of workers:

    Spawn -> BOOTING -> SERVING -> RETIRING -> KILLED
                   \\________\\______> DYING ____/         and Exited from anywhere

Facts only record. `actions` compares what is with what should be, in this order: whose time is
up; then either the stop, or which generation serves, who is not wanted, who is missing. What it
orders it records at once, so asking twice gives nothing the second time, and a lost or doubled
fact delays a decision but cannot spoil one.

    what should be     every slot 0..size-1 of the serving generation that is not drained has a
                       worker on duty; so has, while a reload lasts, each of the candidate
    never              is a serving worker told to go before its successor serves,
                       unless a stop, a smaller size, a drained slot or WINCH is asked for

A graceful stop may have a drain delay: until it is over all goes on, but no reload.

Rules: no os, signal, socket, time, logging; no pid; time is what the caller says it is.
"""

from collections.abc import Iterable, Iterator

from pyfork.supervisor.actions import Abort, Action, Activate, Discard, Exit, Kill, Retire, Spawn
from pyfork.supervisor.events import (
    Alone,
    BootFailed,
    CommandReceived,
    DrainSlot,
    Event,
    Exited,
    HeartbeatMoved,
    OperatorCommand,
    Policy,
    Ready,
    RecycleRequested,
    Reload,
    ResumeSlot,
    Scale,
    Wish,
)
from pyfork.supervisor.shutdown import Shutdown
from pyfork.supervisor.state import (
    BootFailure,
    Generation,
    SavedWorker,
    StopMode,
    WorkerRecord,
    WorkerState,
)

DYING_LIMIT = 1.5  # seconds to write stacks, or to exit after a failure
UNKILLABLE_AFTER = (
    5.0  # seconds after which a killed process that is stuck in the kernel is forgotten
)
SECOND_LOOK = 0.5  # seconds; see _expire_serving
MAX_LATENESS = 1.0  # seconds by which it is asked so late that the whole machine was asleep
LATE = 0.1  # seconds by which this core is asked late, and not only a little
BOOT_SHARE = 10.0  # seconds after which a worker that boots no longer delays others
MAX_BOOT_FAILURES = 5  # deaths in the first generation with nobody ever ready

LATE_DRAIN = "did not drain in time"
STOPPING = "the server is stopping"
NOT_NEEDED = "not needed any more"
SUPERSEDED = "a newer reload was asked for"
EXPECTED_KILLS = frozenset(
    {STOPPING, NOT_NEEDED}
)  # reasons for a kill that are not the worker's fault


class Supervisor:
    """Keeps one generation of workers serving, and swaps it for the next."""

    def __init__(self, policy: Policy, *, first: int = 1, replaces: bool = False) -> None:
        """``first`` is the number of the first generation. ``replaces``: another arbiter serves
        until this generation is complete, and goes on serving if it fails."""
        self._serving = Generation(first, policy, policy.workers)
        self._candidate: Generation | None = None
        self._workers: dict[int, WorkerRecord] = {}  # by serial; from Spawn to Exited
        self._serial = 0  # the last one given
        self._newest = first  # the highest generation seen
        self._reloads: list[Reload] = []  # asked for, not yet begun
        self._drained: set[int] = set()  # slots that an operator has taken out of service
        self._stop = Shutdown()
        self._finished = False
        self._replaces = replaces

    @classmethod
    def resume(
        cls,
        policy: Policy,
        *,
        generation: int,
        size: int,
        workers: Iterable[SavedWorker],
        drained: Iterable[int] = (),
    ) -> "Supervisor":
        """Go on where another supervisor of this process was: ``generation`` serves."""
        resumed = cls(policy, first=generation)
        resumed._drained.update(drained)
        serving = resumed._serving
        serving.active, serving.anyone_ready, serving.size = True, True, size
        for saved in workers:
            resumed._workers[saved.serial] = saved.to_record(serving)
            resumed._serial = max(resumed._serial, saved.serial)
        return resumed

    @property
    def workers(self) -> tuple[WorkerRecord, ...]:
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
    def stop_requested(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.requested

    @property
    def haste(self) -> StopMode:
        """How the stop that was asked for is made."""
        return self._stop.mode

    @property
    def stop_started(self) -> bool:
        """Whether everything is on its way out: the stop's drain delay, if any, is over."""
        return self._stop.started

    @property
    def handing_over(self) -> bool:
        """Whether it stops only because another arbiter serves, and would carry on without it."""
        return self._stop.for_handover

    @property
    def drained(self) -> frozenset[int]:
        """The slots that an operator has taken out of service."""
        return frozenset(self._drained)

    @property
    def wanted_slots(self) -> list[int]:
        """The slots of the serving generation that should have a worker."""
        return self._slots(self._serving)

    @property
    def at_full_strength(self) -> bool:
        """Whether each slot that should have a worker has one that serves."""
        return self._is_complete(self._serving)

    # Facts: record, decide nothing.

    def feed(self, fact: Event, now: float) -> None:
        """Record a fact. Facts about unknown workers are about dead ones, and change nothing."""
        if isinstance(fact, CommandReceived):
            self._record_wish(fact.wish, now)
            return
        if isinstance(fact, Alone):
            self._replaces = False
            return
        worker = self._workers.get(fact.worker)
        if worker is None:
            return
        match fact:
            case Ready() if worker.state is WorkerState.BOOTING:
                worker.ready_at = now
                worker.generation.anyone_ready = True
                worker.become(WorkerState.SERVING, worker.next_check(now))
            case BootFailed(reason=reason, detail=detail) if worker.state is WorkerState.BOOTING:
                worker.become(WorkerState.DYING, now + DYING_LIMIT)
                self._record_loss(worker, now, BootFailure(reason, detail), fatal=True)
            case Exited(how=how):
                del self._workers[worker.serial]
                if worker.is_active:
                    self._record_loss(worker, now, BootFailure(how))
            case RecycleRequested():
                worker.worn = True
            case HeartbeatMoved(deadline=deadline) if deadline != worker.heartbeat_deadline:
                worker.heartbeat_deadline, worker.suspect = deadline, False
                if worker.state is WorkerState.SERVING:
                    worker.deadline = worker.next_check(now)

    def _record_wish(self, wish: Wish, now: float) -> None:
        match wish:
            case DrainSlot(slot=slot):
                self._drained.add(slot)
            case ResumeSlot(slot=slot):
                self._drained.discard(slot)
            case Reload():
                self._reloads.append(wish)
            case Scale(to=to, by=by):
                for generation in self._generations():
                    if generation.size:  # else all were retired, until a reload
                        generation.size = max(1, (generation.size if to is None else to) + by)
            case OperatorCommand.RETIRE_ALL:
                self._serving.size = 0
                if self._candidate:
                    self._candidate.failure = BootFailure("all workers are being retired")
            case _:
                delay = self._serving.policy.drain_delay if self._serving.active else 0.0
                self._stop.record(wish, now, delay=delay)

    def _record_loss(
        self, worker: WorkerRecord, now: float, failure: BootFailure, *, fatal: bool = False
    ) -> None:
        """Record that a worker on duty will serve no more. ``fatal``: another would fare alike."""
        generation = worker.generation
        generation.backoff(worker.slot).record_exit(now, worker.uptime(now))
        if generation.active or self._proved(generation):
            return
        if generation is self._serving and not fatal:
            if generation.policy.persistent:
                return
            generation.boot_failures += not generation.anyone_ready
            if generation.boot_failures < MAX_BOOT_FAILURES:
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
        orders = list(self._check_deadlines(now))
        if self._serving.failure and not self.stop_requested:
            self._stop.fail(self._serving.failure.reason, now)
        orders += self._advance_generations()
        if self._stop.begin(now):
            orders += self._shutdown_actions(now)
        else:  # in a drain delay too: the port is served as well as ever
            orders += self._retire_unwanted(now)
            orders += self._spawn_missing(now)
        return orders

    def deadline(self) -> float | None:
        """When to ask again if no fact comes before; None: not at all."""
        times = [
            worker.deadline for worker in self._workers.values() if worker.deadline is not None
        ]
        if not self._stop.started:
            room = self._next_boot_at()
            times += [max(room, self._serving.retry_at(slot)) for slot in self._empty_slots()]
            times += [self._stop.at] if self.stop_requested else []
        return min(times, default=None)

    def _check_deadlines(self, now: float) -> Iterator[Action]:
        """Whose time is up."""
        for worker in self.workers:
            if worker.deadline is None or worker.deadline > now:
                continue
            overslept = now - worker.deadline > MAX_LATENESS
            match worker.state:
                case WorkerState.BOOTING if overslept:
                    worker.deadline = now + worker.policy.boot_timeout
                case WorkerState.RETIRING if overslept:
                    worker.deadline = now + worker.policy.margin
                case WorkerState.BOOTING:
                    why = f"not ready within {worker.policy.boot_timeout:g} s"
                    yield self._abort(worker, now, why)
                    fatal = not worker.policy.persistent
                    self._record_loss(worker, now, BootFailure(why), fatal=fatal)
                case WorkerState.SERVING:
                    yield from self._expire_serving(worker, worker.deadline, now)
                case WorkerState.RETIRING:
                    yield self._kill(worker, now, LATE_DRAIN)
                case WorkerState.DYING:
                    yield self._kill(worker, now, "did not exit")
                case WorkerState.KILLED:
                    del self._workers[worker.serial]

    def _expire_serving(self, worker: WorkerRecord, due: float, now: float) -> Iterator[Action]:
        """A promise was broken, or there was none to look at.

        The whole machine may have been asleep (a paused container, a stopped process group): then
        every promise looks broken, and each worker has a moment to renew its own. So a promise is
        looked at twice, and the second look counts only if it comes when it was to come.
        """
        if not worker.heartbeat_deadline:
            worker.deadline = worker.next_check(now)
        elif not worker.suspect or now - due > LATE:
            worker.suspect, worker.deadline = True, now + SECOND_LOOK
        else:
            why = f"hangs: gave no sign of life for {worker.policy.timeout:g} s"
            yield self._abort(worker, now, why)
            self._record_loss(worker, now, BootFailure(why))

    def _advance_generations(self) -> Iterator[Action]:
        """Begin the reloads that were asked for; end the one that is under way, if it can be."""
        for reload in self._reloads:
            if reload.generation <= self._newest:
                continue
            self._newest = reload.generation
            if self._candidate:
                yield self._abandon(self._candidate, BootFailure(SUPERSEDED))
            policy = reload.policy
            self._candidate = Generation(reload.generation, policy, policy.workers)
        self._reloads.clear()
        if self._candidate and self.stop_requested:
            yield self._abandon(self._candidate, BootFailure(STOPPING))
        elif self._candidate and self._candidate.failure:
            yield self._abandon(self._candidate, self._candidate.failure)
        for generation in self._generations():
            if not generation.active and not self.stop_requested and self._is_complete(generation):
                generation.active = True
                self._serving, self._candidate = generation, self._later_than(generation)
                yield Activate(generation.number)

    def _shutdown_actions(self, now: float) -> Iterator[Action]:
        """Everybody out; who is leaving already may be told to make haste."""
        stop = self._stop
        for worker in self.workers:
            grace = worker.policy.graceful_timeout if stop.mode is StopMode.GRACEFUL else 0.0
            cut = max(stop.at + grace, now) + worker.policy.margin  # later if the machine slept
            forced = stop.mode is StopMode.FORCED and worker.state is not WorkerState.KILLED
            late = (
                worker.state is WorkerState.RETIRING
                and worker.deadline is not None
                and worker.deadline > cut
            )
            if forced or worker.state is WorkerState.BOOTING:
                yield self._kill(worker, now, STOPPING)
            elif late or worker.state is WorkerState.SERVING:
                yield self._retire(worker, grace, cut)
        if not self._workers:
            self._finished = True
            yield Exit(stop.status, stop.reason)

    def _retire_unwanted(self, now: float) -> Iterator[Action]:
        """Who is not wanted: of no generation that counts, in no slot of it, or succeeded."""
        generations = self._generations()
        youngest = {
            (worker.generation.number, worker.slot): worker.serial
            for worker in self.workers
            if worker.state is WorkerState.SERVING
        }
        for worker in self.workers:
            generation = worker.generation
            wanted = generation in generations and worker.slot in self._slots(generation)
            if worker.state is WorkerState.BOOTING and not wanted:
                yield self._kill(worker, now, NOT_NEEDED)
            elif worker.state is WorkerState.SERVING:
                succeeded = youngest[generation.number, worker.slot] != worker.serial
                if succeeded or not wanted:
                    grace = worker.policy.graceful_timeout
                    yield self._retire(worker, grace, now + grace + worker.policy.margin)

    def _spawn_missing(self, now: float) -> Iterator[Action]:
        """Who is missing."""
        for slot in self._empty_slots():
            if max(self._next_boot_at(), self._serving.retry_at(slot)) <= now:
                yield self._spawn(self._serving, slot, now)
        if self._candidate:
            crew = self._on_duty(self._candidate)
            booting = sum(worker.state is WorkerState.BOOTING for worker in crew)
            staffed = {worker.slot for worker in crew}
            empty = [slot for slot in self._slots(self._candidate) if slot not in staffed]
            for slot in empty[: max(0, self._candidate.policy.reload_parallel - booting)]:
                yield self._spawn(self._candidate, slot, now)

    def _next_boot_at(self) -> float:
        """When the serving generation may boot one more worker, if none becomes ready or exits.

        A worker that boots for longer than `BOOT_SHARE` may hang: it delays no other slot.
        """
        parallel = self._serving.policy.boot_parallel
        shares = sorted(
            worker.spawned_at + BOOT_SHARE
            for worker in self._on_duty(self._serving)
            if worker.state is WorkerState.BOOTING
        )
        if not parallel or len(shares) < parallel:
            return 0.0
        return shares[len(shares) - parallel]

    def _empty_slots(self) -> list[int]:
        """Slots of the serving generation that need one more worker: the empty ones, and one of
        the worn ones unless a successor boots already or a reload will bring them all."""
        crew = self._on_duty(self._serving)
        staffed = {worker.slot for worker in crew}
        slots = self._slots(self._serving)
        empty = [slot for slot in slots if slot not in staffed]
        worn = [worker.slot for worker in crew if worker.worn and worker.slot in slots]
        booting = {worker.slot for worker in crew if worker.state is WorkerState.BOOTING}
        if not worn or self._candidate or not booting.isdisjoint(worn):
            return empty
        return [*empty, min(worn, key=lambda slot: self._serving.retry_at(slot))]

    # The table of workers.

    def _generations(self) -> list[Generation]:
        """Those that count, lowest first."""
        return [self._serving, self._candidate] if self._candidate else [self._serving]

    def _slots(self, generation: Generation) -> list[int]:
        """The slots that should have a worker. If all are drained, all should: the port is
        served."""
        slots = range(generation.size)
        return [slot for slot in slots if slot not in self._drained] or list(slots)

    def _later_than(self, generation: Generation) -> Generation | None:
        return self._candidate if generation is not self._candidate else None

    def _on_duty(self, generation: Generation) -> list[WorkerRecord]:
        return [w for w in self.workers if w.is_active and w.generation is generation]

    def _is_complete(self, generation: Generation) -> bool:
        serving = {w.slot for w in self._on_duty(generation) if w.state is WorkerState.SERVING}
        return bool(generation.size) and serving.issuperset(self._slots(generation))

    # Orders: record what is ordered, and order it.

    def _spawn(self, generation: Generation, slot: int, now: float) -> Action:
        self._serial += 1
        if self._serial == 1:
            generation.others_after = now + generation.policy.head_start
        patience = generation.policy.boot_timeout
        self._workers[self._serial] = WorkerRecord(
            serial=self._serial,
            slot=slot,
            generation=generation,
            spawned_at=now,
            deadline=now + patience if patience else None,
        )
        return Spawn(self._serial, slot, generation.number)

    def _retire(self, worker: WorkerRecord, grace: float, cut: float) -> Action:
        worker.become(WorkerState.RETIRING, cut)
        return Retire(worker.serial, grace)

    def _abort(self, worker: WorkerRecord, now: float, reason: str) -> Action:
        worker.become(WorkerState.DYING, now + DYING_LIMIT)
        return Abort(worker.serial, reason)

    def _kill(self, worker: WorkerRecord, now: float, reason: str) -> Action:
        worker.become(WorkerState.KILLED, now + UNKILLABLE_AFTER)
        return Kill(worker.serial, reason)

    def _abandon(self, generation: Generation, failure: BootFailure) -> Action:
        self._candidate = None
        return Discard(generation.number, failure.reason, failure.detail)
