"""What is remembered of generations that were to be."""

from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.config.config import Config
from pyfork.config.directory import Start
from pyfork.supervisor.actions import Discard
from pyfork.supervisor.supervisor import SUPERSEDED


def test_a_storm_of_reloads_in_one_turn_leaves_nobody_waiting() -> None:
    """Who asked for the first of them is told how it ended, however many came after it."""
    config = Config(app="shop:app", bind=())
    generations = Generations(config, lambda: config, ListenerTable(), start=Start("/", "/"))
    asked = [generations.prepare_reload(10.0).generation for _ in range(1000)]
    assert generations.outcome(asked[0]) is None
    for number in asked[:-1]:
        generations.discard(Discard(number, SUPERSEDED), 10.0)
    first = generations.outcome(asked[0])
    assert first
    assert first.error == SUPERSEDED
    generations.activate(asked[-1], 11.0)
    last = generations.outcome(asked[-1])
    assert last
    assert not last.error


def test_what_nobody_can_wait_for_any_more_is_forgotten() -> None:
    config = Config(app="shop:app", bind=())
    generations = Generations(config, lambda: config, ListenerTable(), start=Start("/", "/"))
    old = generations.prepare_reload(10.0).generation
    generations.activate(old, 10.0)
    new = generations.prepare_reload(1000.0).generation
    generations.activate(new, 1000.0)
    assert generations.outcome(old) is None
    assert generations.last == generations.outcome(new)
