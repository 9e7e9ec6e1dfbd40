"""How many idle connections a worker gives to others, so that shares differ by one at most.

Rules: pure; no scoreboard, no clock, no socket.
"""

from collections.abc import Sequence


def surplus(place: int, counts: Sequence[int]) -> int:
    """How many connections the worker at ``place`` gives away.

    ``counts``: connections of each worker that takes part. If each does what this says, and those
    with the fewest take, no two differ by more than one in the end.
    """
    own, fair = counts[place], -(-sum(counts) // len(counts))
    if own > fair:
        return own - fair
    if own - min(counts) > 1:  # the shares are fair, but for a rest that lies unevenly
        return int(place == counts.index(own))
    return 0
