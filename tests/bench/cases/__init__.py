"""The cases, in the order in which they are run and shown."""

from tests.bench.cases import connections, rates, trees

CASES = (*rates.CASES, *connections.CASES, *trees.CASES)
