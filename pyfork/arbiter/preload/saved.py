"""A fork server in the state that an exec of the arbiter saves."""

from pyfork.record import record


@record(kw_only=True)
class SavedForkServer:
    """The fork server of the serving generation, which lives through an exec."""

    pid: int
    channel: int  # fd of the arbiter's end
    started_at: float  # monotonic seconds
    is_ready: bool
