"""Histories: what happens at which second, and what the supervisor orders then.

A line is (time, facts, orders). Orders that a line does not name must not be given.
"""

import pytest

from pyfork.errors import ExitStatus
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
)
from pyfork.supervisor.supervisor import NOT_NEEDED, STOPPING, Supervisor

ONE = Policy(workers=1, boot_timeout=60, graceful_timeout=30, timeout=30)
SLOW = Policy(workers=1, boot_timeout=60, graceful_timeout=30, timeout=0, drain_delay=10)
TWO = Policy(workers=2, boot_timeout=60, graceful_timeout=30, timeout=30)
PAIRWISE = Policy(workers=4, boot_timeout=60, boot_parallel=2)
AHEAD = Policy(workers=3, boot_timeout=60, graceful_timeout=30, timeout=30, head_start=0.25)
STOP, QUIT, FORCE = (
    CommandReceived(OperatorCommand.STOP),
    CommandReceived(OperatorCommand.QUICK_STOP),
    CommandReceived(OperatorCommand.KILL_ALL),
)
UP, DOWN, ALL = (
    CommandReceived(Scale(by=1)),
    CommandReceived(Scale(by=-1)),
    CommandReceived(OperatorCommand.RETIRE_ALL),
)

Line = tuple[float, list[Event], list[Action]]

START_ONE: list[Line] = [
    (0, [], [Spawn(1, 0, 1)]),
    (1, [Ready(1)], [Activate(1)]),
]
START_TWO: list[Line] = [
    (0, [], [Spawn(1, 0, 1), Spawn(2, 1, 1)]),
    (1, [Ready(2)], []),
    (2, [Ready(1)], [Activate(1)]),
]
HUNG = "hangs: gave no sign of life for 30 s"
LATE = "not ready within 60 s"
STUCK = "did not drain in time"

HISTORIES: dict[str, tuple[Policy, list[Line]]] = {
    "a drained slot stays empty, also through a reload, until it is resumed": (
        TWO,
        [
            *START_TWO,
            (3, [CommandReceived(DrainSlot(0))], [Retire(1, 30)]),
            (4, [Exited(1, "exit status 0")], []),
            (5, [CommandReceived(Reload(2, TWO))], [Spawn(3, 1, 2)]),
            (6, [Ready(3)], [Activate(2), Retire(2, 30)]),
            (7, [Exited(2, "exit status 0")], []),
            (8, [CommandReceived(ResumeSlot(0))], [Spawn(4, 0, 2)]),
        ],
    ),
    "the last slot cannot be drained": (
        ONE,
        [*START_ONE, (3, [CommandReceived(DrainSlot(0))], [])],
    ),
    "the very first worker has a head start": (
        AHEAD,
        [
            (0, [], [Spawn(1, 0, 1)]),
            (0.2, [], []),
            (0.25, [], [Spawn(2, 1, 1), Spawn(3, 2, 1)]),
            (1, [Ready(1), Ready(2), Ready(3)], [Activate(1)]),
            (2, [Exited(2, "exit status 0")], [Spawn(4, 1, 1)]),
        ],
    ),
    "two workers boot at a time": (
        PAIRWISE,
        [
            (0, [], [Spawn(1, 0, 1), Spawn(2, 1, 1)]),
            (1, [Ready(1)], [Spawn(3, 2, 1)]),
            (2, [Exited(2, "killed by SIGKILL")], [Spawn(4, 1, 1)]),
            (3, [Ready(3), Ready(4)], [Spawn(5, 3, 1)]),
            (4, [Ready(5)], [Activate(1)]),
            (
                5,
                [Exited(serial, "killed by SIGKILL") for serial in (1, 3, 5)],
                [Spawn(6, 0, 1), Spawn(7, 2, 1)],
            ),
            (6, [Ready(7)], [Spawn(8, 3, 1)]),
        ],
    ),
    "a worker that boots for long delays no other slot": (
        PAIRWISE,
        [
            (0, [], [Spawn(1, 0, 1), Spawn(2, 1, 1)]),
            (1, [Ready(1)], [Spawn(3, 2, 1)]),
            (9.9, [], []),
            (10, [], [Spawn(4, 3, 1)]),
            (60, [], [Abort(2, LATE), Spawn(5, 1, 1)]),
        ],
    ),
    "a stop ends a head start": (
        AHEAD,
        [
            (0, [], [Spawn(1, 0, 1)]),
            (0.1, [STOP], [Kill(1, STOPPING)]),
            (0.2, [Exited(1, "killed by SIGKILL")], [Exit(ExitStatus.OK)]),
        ],
    ),
    "a graceful stop waits for everyone": (
        TWO,
        [
            *START_TWO,
            (10, [STOP], [Retire(1, 30), Retire(2, 30)]),
            (11, [Exited(1, "exit status 0")], []),
            (12, [Exited(2, "exit status 0")], [Exit(ExitStatus.OK)]),
            (13, [STOP, Exited(2, "exit status 0")], []),
        ],
    ),
    "who does not drain is killed a little after its grace": (
        ONE,
        [
            *START_ONE,
            (10, [STOP], [Retire(1, 30)]),
            (40, [], []),
            (42, [], [Kill(1, STUCK)]),
            (42.1, [Exited(1, "killed by SIGKILL")], [Exit(ExitStatus.OK)]),
        ],
    ),
    "who cannot even be killed is forgotten": (
        ONE,
        [
            *START_ONE,
            (10, [QUIT], [Retire(1, 0)]),
            (12, [], [Kill(1, STUCK)]),
            (17, [], [Exit(ExitStatus.OK)]),
        ],
    ),
    "a second TERM is impatient": (
        ONE,
        [
            *START_ONE,
            (10, [STOP], [Retire(1, 30)]),
            (15, [STOP], [Retire(1, 0)]),
            (16, [STOP], []),
            (17, [], [Kill(1, STUCK)]),
        ],
    ),
    "INT after TERM hurries, a second INT forces": (
        ONE,
        [
            *START_ONE,
            (10, [STOP], [Retire(1, 30)]),
            (11, [QUIT], [Retire(1, 0)]),
            (11.5, [QUIT], [Kill(1, STOPPING)]),
            (11.6, [Exited(1, "killed by SIGKILL")], [Exit(ExitStatus.OK)]),
        ],
    ),
    "a drain delay is served through, at full strength": (
        SLOW,
        [
            *START_ONE,
            (10, [STOP], []),
            (11, [Exited(1, "killed by SIGSEGV")], [Spawn(2, 0, 1)]),
            (12, [Ready(2), CommandReceived(Reload(2, SLOW))], [Discard(2, STOPPING)]),
            (
                13,
                [CommandReceived(Reload(3, SLOW)), RecycleRequested(2, "max-requests")],
                [Discard(3, STOPPING), Spawn(3, 0, 1)],
            ),
            (14, [Ready(3)], [Retire(2, 30)]),
            (20, [], [Retire(3, 30)]),
            (46, [], [Kill(2, STUCK)]),
            (52, [], [Kill(3, STUCK)]),
        ],
    ),
    "a reload under way is abandoned when a drain delay begins": (
        SLOW,
        [
            *START_ONE,
            (10, [CommandReceived(Reload(2, SLOW))], [Spawn(2, 0, 2)]),
            (11, [STOP], [Discard(2, STOPPING), Kill(2, NOT_NEEDED)]),
            (21, [], [Retire(1, 30)]),
        ],
    ),
    "who sees the end of a drain delay late cuts nobody's grace": (
        SLOW,
        [
            *START_ONE,
            (10, [STOP], []),
            (120, [], [Retire(1, 30)]),
            (152, [], [Kill(1, STUCK)]),
        ],
    ),
    "a second TERM ends the drain delay, a third one the grace": (
        SLOW,
        [
            *START_ONE,
            (10, [STOP], []),
            (15, [STOP], [Retire(1, 30)]),
            (16, [STOP], [Retire(1, 0)]),
            (18, [], [Kill(1, STUCK)]),
        ],
    ),
    "INT does not wait for a drain delay": (
        SLOW,
        [*START_ONE, (10, [STOP], []), (11, [QUIT], [Retire(1, 0)])],
    ),
    "who does not serve yet need not delay its stop": (
        SLOW,
        [(0, [], [Spawn(1, 0, 1)]), (1, [STOP], [Kill(1, STOPPING)])],
    ),
    "force kills everyone at once, once": (
        TWO,
        [
            (0, [], [Spawn(1, 0, 1), Spawn(2, 1, 1)]),
            (1, [Ready(1)], []),
            (2, [FORCE, FORCE], [Kill(1, STOPPING), Kill(2, STOPPING)]),
            (2.1, [FORCE], []),
        ],
    ),
    "a stop during boot kills who is not ready, and drains who is": (
        TWO,
        [
            (0, [], [Spawn(1, 0, 1), Spawn(2, 1, 1)]),
            (1, [Ready(1)], []),
            (2, [STOP], [Retire(1, 30), Kill(2, STOPPING)]),
            (2, [Ready(2)], []),
            (3, [Exited(2, "killed by SIGKILL"), BootFailed(1, "late")], []),
            (4, [Exited(1, "exit status 0")], [Exit(ExitStatus.OK)]),
        ],
    ),
    "a stop before the first worker": (ONE, [(0, [STOP], [Exit(ExitStatus.OK)])]),
    "an application that does not load ends everything": (
        TWO,
        [
            (0, [], [Spawn(1, 0, 1), Spawn(2, 1, 1)]),
            (1, [BootFailed(1, "no module named shop", "Traceback")], [Kill(2, STOPPING)]),
            (2, [Exited(1, "exit status 3")], []),
            (3, [Exited(2, "x")], [Exit(ExitStatus.BOOT, "no module named shop")]),
        ],
    ),
    "who failed but does not exit is killed": (
        ONE,
        [
            (0, [], [Spawn(1, 0, 1)]),
            (1, [BootFailed(1, "broken")], []),
            (2.5, [], [Kill(1, "did not exit")]),
            (3, [Exited(1, "killed by SIGKILL")], [Exit(ExitStatus.BOOT, "broken")]),
        ],
    ),
    "a first boot that takes too long": (
        ONE,
        [
            (0, [], [Spawn(1, 0, 1)]),
            (60, [], [Abort(1, LATE)]),
            (61, [Exited(1, "killed by SIGKILL")], [Exit(ExitStatus.BOOT, LATE)]),
        ],
    ),
    "five deaths at boot and nobody ever ready": (
        ONE,
        [
            (0, [], [Spawn(1, 0, 1)]),
            (1, [Exited(1, "killed by SIGSEGV")], [Spawn(2, 0, 1)]),
            (2, [Exited(2, "killed by SIGSEGV")], []),
            (2.5, [], [Spawn(3, 0, 1)]),
            (3, [Exited(3, "killed by SIGSEGV")], []),
            (4, [], [Spawn(4, 0, 1)]),
            (5, [Exited(4, "killed by SIGSEGV")], []),
            (7, [], [Spawn(5, 0, 1)]),
            (8, [Exited(5, "killed by SIGSEGV")], [Exit(ExitStatus.BOOT, "killed by SIGSEGV")]),
        ],
    ),
    "crashes at boot are survived once one was ready": (
        TWO,
        [
            (0, [], [Spawn(1, 0, 1), Spawn(2, 1, 1)]),
            (1, [Ready(1)], []),
            (30, [Exited(2, "exit status 1")], [Spawn(3, 1, 1)]),
            (31, [Exited(3, "exit status 1")], []),
            (31.5, [], [Spawn(4, 1, 1)]),
            (32, [Ready(4)], [Activate(1)]),
        ],
    ),
    "a boot that fails is not fatal once a worker was ready": (
        TWO,
        [
            (0, [], [Spawn(1, 0, 1), Spawn(2, 1, 1)]),
            (1, [Ready(1)], []),
            (2, [BootFailed(2, "cannot import name", "Traceback")], [Spawn(3, 1, 1)]),
            (2.1, [Exited(2, "exit status 3")], []),
            (3, [BootFailed(3, "cannot import name", "Traceback")], []),
            (3.1, [Exited(3, "exit status 3")], []),
            (3.5, [], [Spawn(4, 1, 1)]),
            (63.5, [], [Abort(4, LATE)]),
            (64, [Exited(4, "killed by SIGABRT")], []),
            (65, [Exited(1, "killed by SIGSEGV")], [Spawn(5, 0, 1), Spawn(6, 1, 1)]),
            (66, [Ready(5), Ready(6)], [Activate(1)]),
        ],
    ),
    "a dead worker is replaced at once, one that keeps dying is waited for": (
        ONE,
        [
            *START_ONE,
            (100, [Exited(1, "killed by SIGSEGV")], [Spawn(2, 0, 1)]),
            (101, [Ready(2)], []),
            (102, [Exited(2, "killed by SIGSEGV")], [Spawn(3, 0, 1)]),
            (103, [Exited(3, "exit status 3")], []),
            (103.5, [], [Spawn(4, 0, 1)]),
            (104, [BootFailed(4, "gone", "Traceback")], []),
            (105, [Exited(4, "exit status 3")], [Spawn(5, 0, 1)]),
            (106, [Ready(5)], []),
            (200, [Exited(5, "killed by SIGKILL")], [Spawn(6, 0, 1)]),
        ],
    ),
    "a late boot of a replacement ends nothing but itself": (
        ONE,
        [
            *START_ONE,
            (100, [Exited(1, "killed by SIGSEGV")], [Spawn(2, 0, 1)]),
            (160, [], [Abort(2, LATE), Spawn(3, 0, 1)]),
        ],
    ),
    "a reload retires the old when all the new are ready": (
        TWO,
        [
            *START_TWO,
            (10, [CommandReceived(Reload(2, TWO))], [Spawn(3, 0, 2)]),
            (11, [Ready(3)], [Spawn(4, 1, 2)]),
            (12, [Ready(4)], [Activate(2), Retire(1, 30), Retire(2, 30)]),
            (13, [Exited(1, "exit status 0"), Exited(2, "exit status 0")], []),
        ],
    ),
    "a reload may boot several at a time, and change how many there are": (
        ONE,
        [
            *START_ONE,
            (
                10,
                [CommandReceived(Reload(2, Policy(workers=3, reload_parallel=2)))],
                [Spawn(2, 0, 2), Spawn(3, 1, 2)],
            ),
            (11, [Ready(3)], [Spawn(4, 2, 2)]),
            (12, [Ready(4)], []),
            (13, [Ready(2)], [Activate(2), Retire(1, 30)]),
        ],
    ),
    "a reload that fails leaves the old ones alone": (
        TWO,
        [
            *START_TWO,
            (10, [CommandReceived(Reload(2, TWO))], [Spawn(3, 0, 2)]),
            (11, [Ready(3)], [Spawn(4, 1, 2)]),
            (
                12,
                [BootFailed(4, "no module named shop", "Traceback")],
                [Discard(2, "no module named shop", "Traceback"), Retire(3, 30)],
            ),
            (13, [Exited(4, "exit status 3"), Exited(3, "exit status 0")], []),
            (14, [CommandReceived(Reload(3, TWO))], [Spawn(5, 0, 3)]),
        ],
    ),
    "a reload whose worker dies is abandoned": (
        ONE,
        [
            *START_ONE,
            (10, [CommandReceived(Reload(2, ONE))], [Spawn(2, 0, 2)]),
            (11, [Exited(2, "killed by SIGSEGV")], [Discard(2, "killed by SIGSEGV")]),
        ],
    ),
    "a reload that takes too long is abandoned": (
        ONE,
        [
            *START_ONE,
            (10, [CommandReceived(Reload(2, ONE))], [Spawn(2, 0, 2)]),
            (70, [], [Abort(2, LATE), Discard(2, LATE)]),
        ],
    ),
    "a newer reload takes the place of one under way": (
        TWO,
        [
            *START_TWO,
            (10, [CommandReceived(Reload(2, TWO))], [Spawn(3, 0, 2)]),
            (11, [Ready(3)], [Spawn(4, 1, 2)]),
            (
                12,
                [
                    CommandReceived(Reload(3, TWO)),
                    CommandReceived(Reload(3, TWO)),
                    CommandReceived(Reload(2, TWO)),
                ],
                [
                    Discard(2, "a newer reload was asked for"),
                    Retire(3, 30),
                    Kill(4, NOT_NEEDED),
                    Spawn(5, 0, 3),
                ],
            ),
            (13, [Ready(4), Ready(5)], [Spawn(6, 1, 3)]),
        ],
    ),
    "an old worker that crashes during a reload is replaced": (
        ONE,
        [
            *START_ONE,
            (10, [CommandReceived(Reload(2, ONE))], [Spawn(2, 0, 2)]),
            (11, [Exited(1, "killed by SIGSEGV")], [Spawn(3, 0, 1)]),
            (12, [Ready(3)], []),
            (13, [Ready(2)], [Activate(2), Retire(3, 30)]),
        ],
    ),
    "a stop wins over a reload": (
        ONE,
        [
            *START_ONE,
            (10, [CommandReceived(Reload(2, ONE))], [Spawn(2, 0, 2)]),
            (11, [STOP], [Discard(2, STOPPING), Retire(1, 30), Kill(2, STOPPING)]),
            (12, [CommandReceived(Reload(3, ONE))], [Discard(3, STOPPING)]),
        ],
    ),
    "recycled workers retire after their replacement is ready, one at a time": (
        TWO,
        [
            *START_TWO,
            (
                10,
                [RecycleRequested(1, "max-requests"), RecycleRequested(2, "max-requests")],
                [Spawn(3, 0, 1)],
            ),
            (11, [RecycleRequested(1, "again")], []),
            (12, [Ready(3)], [Retire(1, 30), Spawn(4, 1, 1)]),
            (13, [Ready(4)], [Retire(2, 30)]),
        ],
    ),
    "a recycled worker that dies early has its replacement booting": (
        ONE,
        [
            *START_ONE,
            (10, [RecycleRequested(1, "max-requests")], [Spawn(2, 0, 1)]),
            (11, [Exited(1, "exit status 1")], []),
            (12, [Ready(2)], []),
        ],
    ),
    "scaling": (
        TWO,
        [
            *START_TWO,
            (10, [UP], [Spawn(3, 2, 1)]),
            (11, [Ready(3)], []),
            (12, [DOWN, DOWN, DOWN, DOWN], [Retire(2, 30), Retire(3, 30)]),
            (13, [UP], [Spawn(4, 1, 1)]),
            (14, [DOWN], [Kill(4, NOT_NEEDED)]),
        ],
    ),
    "scaling to a number": (
        TWO,
        [
            *START_TWO,
            (10, [CommandReceived(Scale(4))], [Spawn(3, 2, 1), Spawn(4, 3, 1)]),
            (11, [Ready(3), Ready(4), CommandReceived(Scale(4))], []),
            (12, [CommandReceived(Scale(0))], [Retire(2, 30), Retire(3, 30), Retire(4, 30)]),
        ],
    ),
    "scaling during a reload counts for both": (
        ONE,
        [
            *START_ONE,
            (10, [CommandReceived(Reload(2, ONE))], [Spawn(2, 0, 2)]),
            (11, [UP], [Spawn(3, 1, 1)]),
            (12, [Ready(2)], [Spawn(4, 1, 2)]),
            (13, [Ready(4)], [Activate(2), Retire(1, 30), Kill(3, NOT_NEEDED)]),
        ],
    ),
    "all retired, until a reload": (
        ONE,
        [
            *START_ONE,
            (10, [ALL], [Retire(1, 30)]),
            (11, [Exited(1, "exit status 0"), UP], []),
            (20, [CommandReceived(Reload(2, ONE))], [Spawn(2, 0, 2)]),
            (21, [ALL], [Discard(2, "all workers are being retired"), Kill(2, NOT_NEEDED)]),
            (30, [CommandReceived(Reload(3, ONE))], [Spawn(3, 0, 3)]),
            (31, [Ready(3)], [Activate(3)]),
        ],
    ),
    "a worker that hangs is aborted, then killed, and replaced at once": (
        ONE,
        [
            *START_ONE,
            (2, [HeartbeatMoved(1, 32)], []),
            (31, [HeartbeatMoved(1, 60)], []),
            (60, [], []),
            (60.5, [], [Abort(1, HUNG), Spawn(2, 0, 1)]),
            (61, [HeartbeatMoved(1, 90)], []),
            (62, [], [Kill(1, "did not exit")]),
        ],
    ),
    "when the machine slept, each worker gets a moment to renew its promise": (
        TWO,
        [
            *START_TWO,
            (3, [HeartbeatMoved(1, 32), HeartbeatMoved(2, 32)], []),
            (100, [], []),
            (100.5, [HeartbeatMoved(1, 130)], [Abort(2, HUNG), Spawn(3, 1, 1)]),
        ],
    ),
    "it may sleep until the very second at which a promise is looked at, and again": (
        ONE,
        [
            *START_ONE,
            (3, [HeartbeatMoved(1, 32)], []),
            (32, [], []),
            (33, [], []),
            (33.5, [HeartbeatMoved(1, 63)], []),
            (63, [], []),
            (63.5, [], [Abort(1, HUNG), Spawn(2, 0, 1)]),
        ],
    ),
    "when the machine slept, who boots has its time again, and who drains a moment": (
        ONE,
        [
            *START_ONE,
            (10, [CommandReceived(Reload(2, ONE))], [Spawn(2, 0, 2)]),
            (1000, [], []),
            (1059, [Ready(2)], [Activate(2), Retire(1, 30)]),
            (2000, [], []),
            (2002, [], [Kill(1, STUCK)]),
        ],
    ),
    "when the machine slept in a stop, who drains has a moment, and is told nothing twice": (
        ONE,
        [
            *START_ONE,
            (10, [STOP], [Retire(1, 30)]),
            (1000, [], []),
            (1002, [], [Kill(1, STUCK)]),
        ],
    ),
    "a worker without a promise does not hang": (ONE, [*START_ONE, (31, [], []), (61, [], [])]),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_history(name: str) -> None:
    policy, lines = HISTORIES[name]
    supervisor = Supervisor(policy)
    for now, facts, expected in lines:
        for fact in facts:
            supervisor.feed(fact, now)
        assert supervisor.actions(now) == expected, f"at {now}"
        assert supervisor.actions(now) == [], f"asked twice at {now}"


@pytest.mark.parametrize(
    ("lines", "deadline"),
    [
        (START_ONE[:1], 60),  # the boot timeout
        (START_ONE, 31),  # no promise yet: look again
        ([*START_ONE, (2, [HeartbeatMoved(1, 5)], [])], 5),
        ([*START_ONE, (2, [STOP], [])], 34),
        ([*START_ONE, (2, [Exited(1, "x")], []), (3, [Exited(2, "x")], [])], 3.5),  # back-off
        ([(0, [STOP], [])], None),
    ],
)
def test_deadline(lines: list[Line], deadline: float | None) -> None:
    assert deadline_after(ONE, lines) == deadline


def test_the_end_of_a_drain_delay_is_a_deadline() -> None:
    lines: list[Line] = [*START_ONE, (10, [STOP], [])]
    assert deadline_after(SLOW, lines) == 20
    assert deadline_after(SLOW, [*lines, (11, [Exited(1, "x")], [])]) == 20
    assert deadline_after(SLOW, [*lines, (20, [], [])]) == 52


def deadline_after(policy: Policy, lines: list[Line]) -> float | None:
    supervisor = Supervisor(policy)
    for now, facts, _ in lines:
        for fact in facts:
            supervisor.feed(fact, now)
        supervisor.actions(now)
    return supervisor.deadline()


def test_limits_that_are_off() -> None:
    supervisor = Supervisor(Policy(workers=1, timeout=0, boot_timeout=0))
    supervisor.actions(0)
    assert supervisor.deadline() is None
    supervisor.feed(Ready(1), 1000)
    assert supervisor.actions(1000) == [Activate(1)]
    assert supervisor.deadline() is None


@pytest.mark.parametrize("alone", [False, True])
def test_a_boot_that_fails_ends_an_arbiter_in_whose_place_another_serves(alone: bool) -> None:
    """Even where a worker was ready: an upgrade fails as a whole. Alone, the arbiter goes on."""
    supervisor = Supervisor(TWO, first=5, replaces=True)
    assert supervisor.actions(0) == [Spawn(1, 0, 5), Spawn(2, 1, 5)]
    supervisor.feed(Ready(1), 1)
    if alone:
        supervisor.feed(Alone(), 1)
    supervisor.feed(BootFailed(2, "cannot import name"), 2)
    assert supervisor.actions(2) == [Spawn(3, 1, 5) if alone else Retire(1, 0)]


def test_backoff_doubles_up_to_a_limit() -> None:
    supervisor = Supervisor(TWO)
    for now, facts, _ in START_TWO:
        for fact in facts:
            supervisor.feed(fact, now)
        supervisor.actions(now)
    waits, now, serial = [], 100.0, 2
    while len(waits) < 10:
        supervisor.feed(Exited(serial, "exit status 1"), now)
        born = now
        while not (orders := supervisor.actions(born)):
            born = supervisor.serving.backoff(1).retry_at
        assert isinstance(orders[0], Spawn)
        serial = orders[0].worker
        waits.append(born - now)
        now = born
    assert waits == [0, 0, 0.5, 1, 2, 4, 8, 16, 30, 30]
