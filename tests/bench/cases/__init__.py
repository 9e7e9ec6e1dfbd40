"""The cases, in the order in which they are run and shown."""

from tests.bench.cases import connections, rates, tls, trees

CASES = (*rates.CASES, *tls.CASES, *connections.CASES, *trees.CASES)
