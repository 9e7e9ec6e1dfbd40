"""Arithmetic on deadlines. Times are monotonic seconds."""


def earliest(*times: float | None) -> float | None:
    """The first of ``times``, without those that are None; None if none is left."""
    return min((time for time in times if time is not None), default=None)
