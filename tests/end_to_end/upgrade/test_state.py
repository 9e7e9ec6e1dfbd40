"""The upgrade as a table: histories of events, and the actions that they lead to."""

import pytest

from pyfork.arbiter.upgrade.state import (
    DRY_RUN_TIMEOUT,
    QUIESCE_TIMEOUT,
    START_MARGIN,
    TRANSITIONS,
    UNLIMITED_BOOT,
    UpgradeAction,
    UpgradeEvent,
    UpgradeStage,
    UpgradeState,
)

A, E, S = UpgradeAction, UpgradeEvent, UpgradeStage
SPAWN = [(E.UPGRADE_REQUESTED, S.CHECKING), (E.CHECK_PASSED_SPAWN, S.STARTING)]
EXEC = [
    (E.UPGRADE_REQUESTED, S.CHECKING),
    (E.CHECK_PASSED_EXEC, S.DRY_RUN),
    (E.DRY_RUN_PASSED, S.QUIESCING),
]
TAKEOVER = [(E.TAKEOVER_REQUESTED, S.STARTING)]


def play(state: UpgradeState, *history: tuple[UpgradeEvent, UpgradeStage]) -> list[UpgradeAction]:
    """The actions of a history, of which each event leads to the stage beside it."""
    actions: list[UpgradeAction] = []
    for event, stage in history:
        actions += state.on(event, 10.0, boot_timeout=60.0)
        assert state.stage is stage, event
    return actions


def test_beside() -> None:
    actions = play(UpgradeState(), *SPAWN, (E.NEW_ARBITER_READY, S.DRAINING))
    assert actions == [A.START_CHECK, A.SPAWN_ARBITER, A.SEND_LISTENERS, A.HAND_OVER]


def test_takeover() -> None:
    actions = play(UpgradeState(), *TAKEOVER, (E.NEW_ARBITER_READY, S.DRAINING))
    assert actions == [A.SEND_LISTENERS, A.HAND_OVER]


def test_exec() -> None:
    actions = play(UpgradeState(), *EXEC, (E.QUIESCENT, S.QUIESCING))
    assert actions == [A.START_CHECK, A.START_DRY_RUN, A.EXEC_PROGRAM]
    assert play(UpgradeState(), (E.EXECUTED, S.RELOADING), (E.RELOADED, S.NONE)) == []


@pytest.mark.parametrize("event", [E.FAILED, E.TIMED_OUT, E.STOP_REQUESTED])
@pytest.mark.parametrize("history", [SPAWN[:1], SPAWN, EXEC[:2], EXEC, TAKEOVER])
def test_a_failure_before_the_handover_leads_back(
    history: list[tuple[UpgradeEvent, UpgradeStage]], event: UpgradeEvent
) -> None:
    state = UpgradeState()
    play(state, *history)
    assert play(state, (event, S.NONE)) == [A.FAIL]
    assert state.deadline is None
    assert play(state, SPAWN[0]) == [A.START_CHECK], "it can be tried again"


def test_the_new_arbiter_is_gone() -> None:
    state = UpgradeState()
    assert play(state, *SPAWN, (E.NEW_ARBITER_GONE, S.NONE))[-1] is A.FAIL
    drained = play(state, *SPAWN, (E.NEW_ARBITER_READY, S.DRAINING), (E.NEW_ARBITER_GONE, S.NONE))
    assert drained[-1] is A.RESUME
    assert play(state, (E.NEW_ARBITER_GONE, S.NONE)) == [], "its exit is told twice"


@pytest.mark.parametrize("event", [E.FAILED, E.TIMED_OUT, E.STOP_REQUESTED, E.QUIESCENT])
def test_after_the_handover_only_the_new_arbiter_counts(event: UpgradeEvent) -> None:
    state = UpgradeState()
    play(state, *SPAWN, (E.NEW_ARBITER_READY, S.DRAINING))
    assert play(state, (event, S.DRAINING)) == []
    assert play(state, (E.NEW_ARBITER_STOPPING, S.DRAINING)) == [A.STOP_FOR_GOOD]


@pytest.mark.parametrize("history", [SPAWN[:1], SPAWN, TAKEOVER])
def test_a_stop_waits_for_the_end_of_the_upgrade(
    history: list[tuple[UpgradeEvent, UpgradeStage]],
) -> None:
    for end, stage, actions in (
        (E.FAILED, S.NONE, [A.STOP, A.FAIL]),
        (E.NEW_ARBITER_READY, S.DRAINING, [A.HAND_OVER, A.STOP_FOR_GOOD]),
    ):
        state = UpgradeState()
        play(state, *history)
        assert state.postpone_stop()
        assert not state.postpone_stop(), "a second stop is no longer postponed"
        if state.stage is S.CHECKING and end is not E.FAILED:
            play(state, SPAWN[1])
        assert play(state, (end, stage)) == actions


def test_a_stop_waits_for_no_exec() -> None:
    state = UpgradeState()
    assert not state.postpone_stop()
    play(state, *EXEC)
    assert not state.postpone_stop()


def test_each_stage_has_its_time() -> None:
    state = UpgradeState()
    limits = []
    for event, _ in EXEC:
        state.on(event, 10.0, boot_timeout=60.0)
        limits.append(state.deadline)
    boot = 10.0 + 60.0 + START_MARGIN
    assert limits == [boot, 10.0 + DRY_RUN_TIMEOUT, 10.0 + QUIESCE_TIMEOUT]
    state.on(E.QUIESCENT, 20.0, boot_timeout=60.0)
    assert state.deadline == 10.0 + QUIESCE_TIMEOUT, "an exec that has to wait gets no more"
    unlimited = UpgradeState()
    unlimited.on(E.UPGRADE_REQUESTED, 10.0, boot_timeout=0.0)
    assert unlimited.deadline == 10.0 + UNLIMITED_BOOT + START_MARGIN


def test_each_stage_can_be_entered_and_left() -> None:
    for stage in UpgradeStage:
        entries = [before for (before, _), (after, _) in TRANSITIONS.items() if after is stage]
        exits = [after for (before, _), (after, _) in TRANSITIONS.items() if before is stage]
        assert any(before is not stage for before in entries), stage
        assert any(after is not stage for after in exits), stage
