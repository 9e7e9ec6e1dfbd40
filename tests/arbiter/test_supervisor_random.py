"""Random histories: a simulated world plays with the supervisor, which must keep its promises.

The world knows the truth by itself (who booted, who was told to go, who is dead) and compares.
"""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pyfork.supervisor import actions as do
from pyfork.supervisor.events import (
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
)
from pyfork.supervisor.state import WorkerState
from pyfork.supervisor.supervisor import BOOT_SHARE, Supervisor
from pyfork.supervisor.worker_table import UNKILLABLE_AFTER

GRACE = 20.0
DELAY = 7.0
POLICIES = st.builds(
    Policy,
    workers=st.integers(1, 4),
    timeout=st.sampled_from([0.0, 30.0]),
    boot_timeout=st.sampled_from([0.0, 60.0]),
    graceful_timeout=st.just(GRACE),
    drain_delay=st.sampled_from([0.0, 0.0, DELAY]),
    head_start=st.sampled_from([0.0, 0.01]),
    boot_parallel=st.integers(0, 3),
    reload_parallel=st.integers(1, 3),
)


@dataclass(eq=False)
class Simulated:
    """A worker process as it really is."""

    serial: int
    slot: int
    generation: int
    ready: bool = False
    told: bool = False  # to retire
    doomed: bool = False  # aborted or killed, or it said that it failed
    gone: bool = False

    @property
    def serves(self) -> bool:
        """Whether it takes new connections."""
        return self.ready and not (self.told or self.doomed or self.gone)


class World(RuleBasedStateMachine):
    """Feeds facts, performs actions, and checks every promise after each."""

    @initialize(policy=POLICIES)
    def start(self, policy: Policy) -> None:
        self.now = 1000.0
        self.workers: list[Simulated] = []
        self.supervisor = Supervisor(policy)
        self.generation = 1
        self.open_reloads: set[int] = set()
        self.abandoned: set[int] = set()
        self.stop_asked: float | None = None
        self.finished: do.Exit | None = None
        self.past: list[Event] = []
        self.act()

    def tell(self, fact: Event) -> None:
        self.past.append(fact)
        self.supervisor.feed(fact, self.now)
        self.act()

    def act(self) -> None:
        orders = self.supervisor.actions(self.now)
        for order in orders:
            self.perform(order)
        self.check()

    def perform(self, order: do.Action) -> None:
        assert self.finished is None, "Finish is the last word"
        match order:
            case do.Spawn(worker=serial, slot=slot, generation=generation):
                assert not self.supervisor.stop_started
                assert generation not in self.abandoned
                assert all(serial > worker.serial for worker in self.workers)
                self.workers.append(Simulated(serial, slot, generation))
            case do.Activate(generation=generation):
                self.open_reloads.discard(generation)
            case do.Discard(generation=generation, reason=reason):
                assert reason
                self.open_reloads.remove(generation)
                self.abandoned.add(generation)
            case do.Exit():
                self.finished = order
            case do.Retire(worker=serial):
                worker = self.worker(serial)
                assert worker.ready
                self.check_may_go(worker)
                worker.told = True
            case do.Abort(worker=serial) | do.Kill(worker=serial):
                worker = self.worker(serial)
                if isinstance(order, do.Kill) and worker.serves:
                    assert self.supervisor.stop_started, "a serving worker is retired, never killed"
                worker.doomed = True

    def worker(self, serial: int) -> Simulated:
        return next(worker for worker in self.workers if worker.serial == serial)

    def check_may_go(self, worker: Simulated) -> None:
        """No serving worker is retired before its replacement serves in the same slot."""
        replacement = any(
            other.serves
            and other.slot == worker.slot
            and (other.generation, other.serial) > (worker.generation, worker.serial)
            for other in self.workers
        )
        assert (
            replacement
            or self.supervisor.stop_started
            or worker.generation in self.abandoned
            or worker.slot >= self.size(worker.generation)  # scaled down, or all are retired
            or worker.slot in self.supervisor.drained
        )

    def size(self, generation: int) -> int:
        """How many slots a generation is to fill."""
        candidate = self.supervisor.candidate
        if candidate and candidate.number == generation:
            return candidate.size
        return self.supervisor.serving.size

    def check(self) -> None:
        supervisor = self.supervisor
        assert supervisor.actions(self.now) == [], "asked twice, it gives nothing"
        deadline = supervisor.deadline()
        assert deadline is None or deadline > self.now
        if supervisor.stop_started:
            return
        serving = {w.serial for w in supervisor.workers if w.state is WorkerState.SERVING}
        assert serving <= {worker.serial for worker in self.workers if worker.serves}
        self.check_slots()
        candidate = supervisor.candidate
        assert not (candidate and supervisor.stop_requested)
        if candidate:
            booting = [w for w in supervisor.workers if w.state is WorkerState.BOOTING]
            fresh = sum(w.generation is candidate for w in booting)
            assert fresh <= candidate.policy.reload_parallel

    def check_slots(self) -> None:
        """Each slot has one who serves, and beside it at most one slot has who boots for it."""
        generation = self.supervisor.serving
        active = [w for w in self.supervisor.workers if w.generation is generation]
        serving = [worker.slot for worker in active if worker.state is WorkerState.SERVING]
        booting = [worker.slot for worker in active if worker.state is WorkerState.BOOTING]
        assert len(serving) == len(set(serving))
        assert len(booting) == len(set(booting))
        assert set(serving) | set(booting) <= set(range(generation.size))
        assert len(set(serving) & set(booting)) <= 1, "recycled workers are replaced one at a time"
        delayers = [
            worker
            for worker in active
            if worker.state is WorkerState.BOOTING and worker.spawned_at + BOOT_SHARE > self.now
        ]
        full = 0 < generation.policy.boot_parallel <= len(delayers)
        for slot in set(self.supervisor.wanted_slots).difference(serving, booting):
            assert full or generation.retry_at(slot) > self.now, f"slot {slot} is forgotten"

    # What workers do.

    def choose(self, data: st.DataObject, among: list[Simulated]) -> Simulated | None:
        return data.draw(st.sampled_from(among)) if among else None

    @rule(data=st.data())
    def boot(self, data: st.DataObject) -> None:
        booting = [w for w in self.workers if not (w.ready or w.doomed or w.gone)]
        if worker := self.choose(data, booting):
            worker.ready = True
            self.tell(Ready(worker.serial))

    @rule(data=st.data(), failed=st.booleans())
    def fail(self, data: st.DataObject, failed: bool) -> None:
        booting = [w for w in self.workers if not (w.ready or w.doomed or w.gone)]
        if worker := self.choose(data, booting):
            if failed:
                worker.doomed = True
                self.tell(BootFailed(worker.serial, "no such module", "Traceback"))
            else:
                worker.gone = True
                self.tell(Exited(worker.serial, "exit status 1"))

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Who was told to go goes (others take their time)."""
        if worker := self.choose(
            data, [w for w in self.workers if (w.told or w.doomed) and not w.gone]
        ):
            worker.gone = True
            self.tell(Exited(worker.serial, "exit status 0"))

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        if worker := self.choose(data, [w for w in self.workers if not w.gone]):
            worker.gone = True
            self.tell(Exited(worker.serial, "killed by SIGSEGV"))

    @rule(data=st.data(), ahead=st.sampled_from([-40.0, -0.1, 0.5, 30.0]))
    def promise(self, data: st.DataObject, ahead: float) -> None:
        if worker := self.choose(data, [w for w in self.workers if w.ready and not w.gone]):
            self.tell(HeartbeatMoved(worker.serial, self.now + ahead))

    @rule(data=st.data())
    def wear_out(self, data: st.DataObject) -> None:
        if worker := self.choose(data, [w for w in self.workers if w.ready and not w.gone]):
            self.tell(RecycleRequested(worker.serial, "max-requests"))

    @rule(data=st.data())
    def echo(self, data: st.DataObject) -> None:
        """A fact comes twice, or about someone long dead."""
        past = [fact for fact in self.past if not isinstance(fact, CommandReceived)]
        if past:
            fact = data.draw(st.sampled_from(past))
            worker = self.worker(fact.worker)
            if not isinstance(fact, Exited | HeartbeatMoved) or worker.gone:
                self.tell(fact)

    # What time and operators do.

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 4.0, 11.0, 100.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.act()

    @rule()
    def pass_time_to_deadline(self) -> None:
        if deadline := self.supervisor.deadline():
            self.now = max(self.now, deadline)
            self.act()

    @rule(policy=POLICIES)
    def reload(self, policy: Policy) -> None:
        if self.finished is None:
            self.generation += 1
            self.open_reloads.add(self.generation)
            self.tell(CommandReceived(Reload(self.generation, policy)))

    @rule(
        command=st.sampled_from(
            [
                Scale(by=1),
                Scale(by=-1),
                OperatorCommand.RETIRE_ALL,
                Scale(3),
            ]
        )
    )
    def scale(self, command: OperatorCommand | Scale) -> None:
        before = self.supervisor.serving.size
        self.tell(CommandReceived(command))
        if command is not OperatorCommand.RETIRE_ALL and before:
            assert self.supervisor.serving.size >= 1

    @rule(slot=st.integers(0, 3), drained=st.booleans())
    def drain(self, slot: int, drained: bool) -> None:
        self.tell(CommandReceived(DrainSlot(slot) if drained else ResumeSlot(slot)))
        assert self.supervisor.wanted_slots or not self.supervisor.serving.size

    @precondition(lambda self: len(self.workers) > 6)
    @rule(
        command=st.sampled_from(
            [OperatorCommand.STOP, OperatorCommand.QUICK_STOP, OperatorCommand.KILL_ALL]
        )
    )
    def stop(self, command: OperatorCommand) -> None:
        if self.stop_asked is None:
            self.stop_asked = self.now
        self.tell(CommandReceived(command))
        assert self.supervisor.stop_requested

    def teardown(self) -> None:
        """Whatever has been: a stop ends, in bounded time, even if nobody cooperates."""
        if not hasattr(self, "supervisor"):
            return
        self.tell(CommandReceived(OperatorCommand.STOP))
        asked = self.now
        while self.finished is None:
            deadline = self.supervisor.deadline()
            assert deadline is not None
            self.now = deadline
            self.act()
        assert self.now <= asked + DELAY + GRACE + Policy().margin + UNKILLABLE_AFTER
        assert self.supervisor.deadline() is None
        assert not self.open_reloads, "each reload was answered"


World.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestWorld = World.TestCase
