"""The number of connections that a worker gives away so that shares differ by one at most.

Rules: pure; no scoreboard, no clock, no socket.
"""

from collections.abc import Sequence


def surplus(place: int, counts: Sequence[int]) -> int:
    """Return how many connections the worker at ``place`` gives away.

    ``counts``: connections of each worker that takes part. If each follows this, and those with
    the fewest take, no two differ by more than one in the end.
    """
    own, fair = counts[place], -(-sum(counts) // len(counts))
    if own > fair:
        return own - fair
    if own - min(counts) > 1:  # the shares are fair, apart from an uneven remainder
        return int(place == counts.index(own))
    return 0
