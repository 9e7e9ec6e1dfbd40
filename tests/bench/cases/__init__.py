"""The cases, in the order in which they are run and shown."""

from tests.bench.cases import connections, rates, trees
from tests.bench.cases.case import Case

CASES = (*rates.CASES, *connections.CASES, *trees.CASES)


def chosen(names: str | None) -> list[Case]:
    """Those that are asked for, separated by commas; all without. Raises KeyError for others."""
    by_name = {case.name: case for case in CASES}
    return [by_name[name] for name in names.split(",")] if names else list(CASES)
