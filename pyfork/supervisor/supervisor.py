"""The decision core: events in, actions out.

The caller feeds events, executes actions, and asks again after an event or at `deadline`. The
supervisor keeps a table of workers:

    Spawn -> BOOTING -> SERVING -> RETIRING -> KILLED
                   \\________\\______> DYING ____/         and Exited from anywhere

`feed` only records. `actions` compares the table with the desired state: first deadlines, then
either the stop, or the serving generation, unwanted workers and missing workers. It records each
action when it returns it, so that a second call returns nothing. A lost or doubled event delays a
decision, but cannot corrupt one.

    desired   every slot 0..size-1 of the serving generation that is not drained has an active
              worker; so has, during a reload, each slot of the candidate
    never     is a serving worker retired before its replacement serves, unless a stop, a smaller
              size, a drained slot or WINCH was asked for

During the drain delay of a graceful stop everything continues, except reloads.

Rules: no os, signal, socket, time, logging; no pid; the caller passes the time.
"""

from collections.abc import Iterable, Iterator

from pyfork.supervisor.actions import Action, Activate, Discard, Exit
from pyfork.supervisor.events import (
    Alone,
    BootFailed,
    Command,
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
from pyfork.supervisor.worker_table import DYING_LIMIT, WorkerTable

SECOND_CHECK = 0.5  # seconds; see _check_heartbeat
MAX_LATENESS = 1.0  # seconds: a deadline seen later than this means that the machine was suspended
LATE = 0.1  # seconds: a second check later than this does not count
BOOT_SHARE = 10.0  # seconds after which a worker that boots no longer delays others
MAX_BOOT_FAILURES = 5  # exits in the first generation before any worker was ready

LATE_DRAIN = "did not drain in time"
STOPPING = "the server is stopping"
NOT_NEEDED = "not needed any more"
SUPERSEDED = "a newer reload was asked for"
EXPECTED_KILLS = frozenset({STOPPING, NOT_NEEDED})  # kills that no worker is to blame for


class Supervisor:
    """Keeps one generation of workers serving, and replaces it by the next."""

    def __init__(self, policy: Policy, *, first: int = 1, replaces: bool = False) -> None:
        """``first``: number of the first generation. ``replaces``: another arbiter serves until all
        its workers are ready, and keeps serving if it fails."""
        self._serving = Generation(first, policy, policy.workers)
        self._candidate: Generation | None = None
        self._table = WorkerTable()
        self._newest = first  # the highest generation seen
        self._reloads: list[Reload] = []  # not started yet
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
        """Continue from the state before an exec, in which ``generation`` serves."""
        resumed = cls(policy, first=generation)
        resumed._drained.update(drained)
        serving = resumed._serving
        serving.active, serving.any_ready, serving.size = True, True, size
        resumed._table.restore(workers, serving)
        return resumed

    @property
    def workers(self) -> tuple[WorkerRecord, ...]:
        """Every worker that has not exited. Callers only read it."""
        return tuple(self._table)

    @property
    def serving(self) -> Generation:
        """The generation that serves; at the start, the one that boots."""
        return self._serving

    @property
    def candidate(self) -> Generation | None:
        """The generation that a reload boots."""
        return self._candidate

    @property
    def stop_requested(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.requested

    @property
    def stop_mode(self) -> StopMode:
        """How the server stops."""
        return self._stop.mode

    @property
    def stop_started(self) -> bool:
        """Whether the stop has begun: its drain delay, if any, is over."""
        return self._stop.started

    @property
    def handing_over(self) -> bool:
        """Whether the server stops because another arbiter serves, and resumes if that goes."""
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

    # Events: recorded, nothing is decided.

    def feed(self, event: Event, now: float) -> None:
        """Record an event. One about an unknown worker is late, and changes nothing."""
        if isinstance(event, CommandReceived):
            self._record_command(event.command, now)
            return
        if isinstance(event, Alone):
            self._replaces = False
            return
        worker = self._table.get(event.worker)
        if worker is None:
            return
        match event:
            case Ready() if worker.state is WorkerState.BOOTING:
                worker.ready_at = now
                worker.generation.any_ready = True
                worker.transition_to(WorkerState.SERVING, worker.next_check(now))
            case BootFailed(reason=reason, detail=detail) if worker.state is WorkerState.BOOTING:
                worker.transition_to(WorkerState.DYING, now + DYING_LIMIT)
                self._record_loss(worker, now, BootFailure(reason, detail), fatal=True)
            case Exited(how=how):
                self._table.remove(worker)
                if worker.is_active:
                    self._record_loss(worker, now, BootFailure(how))
            case RecycleRequested():
                worker.recycle = True
            case HeartbeatMoved(deadline=deadline) if deadline != worker.heartbeat_deadline:
                worker.heartbeat_deadline, worker.suspect = deadline, False
                if worker.state is WorkerState.SERVING:
                    worker.deadline = worker.next_check(now)

    def _record_command(self, command: Command, now: float) -> None:
        match command:
            case DrainSlot(slot=slot):
                self._drained.add(slot)
            case ResumeSlot(slot=slot):
                self._drained.discard(slot)
            case Reload():
                self._reloads.append(command)
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
                self._stop.record(command, now, delay=delay)

    def _record_loss(
        self, worker: WorkerRecord, now: float, failure: BootFailure, *, fatal: bool = False
    ) -> None:
        """Record that an active worker is lost. ``fatal``: a replacement would fail alike."""
        generation = worker.generation
        generation.backoff(worker.slot).record_exit(now, worker.uptime(now))
        if generation.active or self._has_served(generation):
            return
        if generation is self._serving and not fatal:
            if generation.policy.persistent:
                return
            generation.boot_failures += not generation.any_ready
            if generation.boot_failures < MAX_BOOT_FAILURES:
                return
        generation.failure = generation.failure or failure

    def _has_served(self, generation: Generation) -> bool:
        """Whether the generation serves, if not at full strength. Then it is never given up: a slot
        whose boot failed may boot later, for instance when a deploy is complete."""
        return generation is self._serving and generation.any_ready and not self._replaces

    # Decisions.

    def actions(self, now: float) -> list[Action]:
        """The actions to execute now."""
        if self._finished:
            return []
        pending = list(self._check_deadlines(now))
        if self._serving.failure and not self.stop_requested:
            self._stop.fail(self._serving.failure.reason, now)
        pending += self._advance_generations()
        if self._stop.begin(now):
            pending += self._shutdown_actions(now)
        else:  # during a drain delay, too
            pending += self._retire_unwanted(now)
            pending += self._spawn_missing(now)
        return pending

    def deadline(self) -> float | None:
        """When to ask again if no event arrives before; None: not at all."""
        times = [worker.deadline for worker in self._table if worker.deadline is not None]
        if not self._stop.started:
            room = self._next_boot_at()
            times += [max(room, self._serving.retry_at(slot)) for slot in self._empty_slots()]
            times += [self._stop.at] if self.stop_requested else []
        return min(times, default=None)

    def _check_deadlines(self, now: float) -> Iterator[Action]:
        """Act on the workers whose deadline has passed."""
        for worker in self._table:
            if worker.deadline is None or worker.deadline > now:
                continue
            suspended = now - worker.deadline > MAX_LATENESS
            match worker.state:
                case WorkerState.BOOTING if suspended:
                    worker.deadline = now + worker.policy.boot_timeout
                case WorkerState.RETIRING if suspended:
                    worker.deadline = now + worker.policy.margin
                case WorkerState.BOOTING:
                    why = f"not ready within {worker.policy.boot_timeout:g} s"
                    yield self._table.abort(worker, now, why)
                    fatal = not worker.policy.persistent
                    self._record_loss(worker, now, BootFailure(why), fatal=fatal)
                case WorkerState.SERVING:
                    yield from self._check_heartbeat(worker, worker.deadline, now)
                case WorkerState.RETIRING:
                    yield self._table.kill(worker, now, LATE_DRAIN)
                case WorkerState.DYING:
                    yield self._table.kill(worker, now, "did not exit")
                case WorkerState.KILLED:
                    self._table.remove(worker)

    def _check_heartbeat(self, worker: WorkerRecord, due: float, now: float) -> Iterator[Action]:
        """Check a worker whose heartbeat deadline has passed, or that has none yet.

        If the machine was suspended (a paused container, a stopped process group), all deadlines
        have passed, and each worker needs a moment to move its own. So each deadline is checked
        twice, and the second check counts only if it is not late.
        """
        if not worker.heartbeat_deadline:
            worker.deadline = worker.next_check(now)
        elif not worker.suspect or now - due > LATE:
            worker.suspect, worker.deadline = True, now + SECOND_CHECK
        else:
            why = f"hangs: gave no sign of life for {worker.policy.timeout:g} s"
            yield self._table.abort(worker, now, why)
            self._record_loss(worker, now, BootFailure(why))

    def _advance_generations(self) -> Iterator[Action]:
        """Start the reloads that were asked for; activate or discard the candidate."""
        for reload in self._reloads:
            if reload.generation <= self._newest:
                continue
            self._newest = reload.generation
            if self._candidate:
                yield self._discard(self._candidate, BootFailure(SUPERSEDED))
            policy = reload.policy
            self._candidate = Generation(reload.generation, policy, policy.workers)
        self._reloads.clear()
        if self._candidate and self.stop_requested:
            yield self._discard(self._candidate, BootFailure(STOPPING))
        elif self._candidate and self._candidate.failure:
            yield self._discard(self._candidate, self._candidate.failure)
        for generation in self._generations():
            if not generation.active and not self.stop_requested and self._is_complete(generation):
                generation.active = True
                self._serving, self._candidate = generation, self._later_than(generation)
                yield Activate(generation.number)

    def _shutdown_actions(self, now: float) -> Iterator[Action]:
        """Retire or kill every worker; one that drains already may get less time."""
        stop = self._stop
        for worker in self._table:
            grace = worker.policy.graceful_timeout if stop.mode is StopMode.GRACEFUL else 0.0
            cut = max(stop.at + grace, now) + worker.policy.margin  # later if the machine slept
            forced = stop.mode is StopMode.FORCED and worker.state is not WorkerState.KILLED
            late = (
                worker.state is WorkerState.RETIRING
                and worker.deadline is not None
                and worker.deadline > cut
            )
            if forced or worker.state is WorkerState.BOOTING:
                yield self._table.kill(worker, now, STOPPING)
            elif late or worker.state is WorkerState.SERVING:
                yield self._table.retire(worker, grace, cut)
        if not self._table:
            self._finished = True
            yield Exit(stop.status, stop.reason)

    def _retire_unwanted(self, now: float) -> Iterator[Action]:
        """Retire workers of another generation, in no slot of it, or with a replacement."""
        generations = self._generations()
        youngest = {
            (worker.generation.number, worker.slot): worker.serial
            for worker in self._table
            if worker.state is WorkerState.SERVING
        }
        for worker in self._table:
            generation = worker.generation
            wanted = generation in generations and worker.slot in self._slots(generation)
            if worker.state is WorkerState.BOOTING and not wanted:
                yield self._table.kill(worker, now, NOT_NEEDED)
            elif worker.state is WorkerState.SERVING:
                replaced = youngest[generation.number, worker.slot] != worker.serial
                if replaced or not wanted:
                    grace = worker.policy.graceful_timeout
                    yield self._table.retire(worker, grace, now + grace + worker.policy.margin)

    def _spawn_missing(self, now: float) -> Iterator[Action]:
        """Spawn a worker in each empty slot, as far as the policy allows now."""
        for slot in self._empty_slots():
            if max(self._next_boot_at(), self._serving.retry_at(slot)) <= now:
                yield self._table.spawn(self._serving, slot, now)
        if self._candidate:
            active = self._table.active(self._candidate)
            booting = sum(worker.state is WorkerState.BOOTING for worker in active)
            occupied = {worker.slot for worker in active}
            empty = [slot for slot in self._slots(self._candidate) if slot not in occupied]
            for slot in empty[: max(0, self._candidate.policy.reload_parallel - booting)]:
                yield self._table.spawn(self._candidate, slot, now)

    def _next_boot_at(self) -> float:
        """When the serving generation may boot one more worker, if none becomes ready or exits.

        A worker that boots for longer than `BOOT_SHARE` may hang: it delays no other slot.
        """
        parallel = self._serving.policy.boot_parallel
        shares = sorted(
            worker.spawned_at + BOOT_SHARE
            for worker in self._table.active(self._serving)
            if worker.state is WorkerState.BOOTING
        )
        if not parallel or len(shares) < parallel:
            return 0.0
        return shares[len(shares) - parallel]

    def _empty_slots(self) -> list[int]:
        """The slots of the serving generation that need one more worker: empty ones, and one whose
        worker asked to be replaced, unless a replacement boots or a reload is under way."""
        active = self._table.active(self._serving)
        occupied = {worker.slot for worker in active}
        slots = self._slots(self._serving)
        empty = [slot for slot in slots if slot not in occupied]
        recycled = [worker.slot for worker in active if worker.recycle and worker.slot in slots]
        booting = {worker.slot for worker in active if worker.state is WorkerState.BOOTING}
        if not recycled or self._candidate or not booting.isdisjoint(recycled):
            return empty
        return [*empty, min(recycled, key=lambda slot: self._serving.retry_at(slot))]

    # Generations and slots.

    def _generations(self) -> list[Generation]:
        """The serving generation, and the candidate if there is one."""
        return [self._serving, self._candidate] if self._candidate else [self._serving]

    def _slots(self, generation: Generation) -> list[int]:
        """The slots that should have a worker. If all are drained, all should, so that the port is
        served."""
        slots = range(generation.size)
        return [slot for slot in slots if slot not in self._drained] or list(slots)

    def _later_than(self, generation: Generation) -> Generation | None:
        return self._candidate if generation is not self._candidate else None

    def _is_complete(self, generation: Generation) -> bool:
        serving = {w.slot for w in self._table.active(generation) if w.state is WorkerState.SERVING}
        return bool(generation.size) and serving.issuperset(self._slots(generation))

    def _discard(self, generation: Generation, failure: BootFailure) -> Action:
        self._candidate = None
        return Discard(generation.number, failure.reason, failure.detail)
