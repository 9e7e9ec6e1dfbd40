"""Adds the results of reloads and upgrades to the history."""

from pyfork.arbiter.component import Component
from pyfork.arbiter.generations import Generations, ReloadResult
from pyfork.arbiter.reporting.history import History
from pyfork.arbiter.upgrade.old_side import Upgrade
from pyfork.arbiter.upgrade.state import UpgradeStage


class Outcomes(Component):
    """Compares, in each tick, the last results with those that it has added."""

    def __init__(self, history: History, generations: Generations, upgrade: Upgrade) -> None:
        self._history = history
        self._generations = generations
        self._upgrade = upgrade
        self._reload: ReloadResult | None = None  # the last ones that were added
        self._upgraded: ReloadResult | None = None
        self._asked: dict[int, float] = {}  # generation -> monotonic seconds
        self._newest = generations.newest
        self._upgrade_asked: float | None = None  # monotonic seconds

    def tick(self, now: float) -> None:
        """Add new results."""
        for number in range(self._newest + 1, self._generations.newest + 1):
            self._asked[number] = now
        self._newest = self._generations.newest
        if self._upgrade.last is not self._upgraded:
            self._upgraded = self._upgrade.last
            if self._upgraded is not None:
                began = self._upgrade_asked if self._upgrade_asked is not None else now
                self._add("upgrade", self._upgraded, max(0.0, now - began))
        for result in self._generations.outcomes_after(self._reload):
            self._reload = result
            began = self._asked.pop(result.generation or 0, now)
            if result is not self._upgraded:  # the reload after an exec is the upgrade
                self._add("reload", result, max(0.0, result.at - began))
        if self._upgrade.stage is UpgradeStage.NONE:
            self._upgrade_asked = None
        elif self._upgrade_asked is None:
            self._upgrade_asked = now

    def _add(self, kind: str, result: ReloadResult, duration: float) -> None:
        self._history.counts[kind]["failed" if result.error else "succeeded"] += 1
        self._history.durations[kind] = duration
        self._history.add(
            kind,
            ok=not result.error,
            reason=result.error,
            detail=result.detail,
            generation=result.generation,
            duration=duration,
        )
