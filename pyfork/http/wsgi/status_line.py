"""Parser of a WSGI status string (PEP 3333). Pure."""

from pyfork.http.response.head import REASONS


class Statuses:
    """Cache of parsed statuses: a code, and a reason unless it is the standard one.

    Attributes:
        known: at most 64 of them, by the application's text.
    """

    _MOST = 64

    def __init__(self) -> None:
        self.known: dict[str, tuple[int, bytes | None]] = {}

    def learn(self, status: str) -> tuple[int, bytes | None]:
        """Parse a status that is not cached. Raises ValueError."""
        code, _, text = status.partition(" ")
        if len(code) != 3 or not code.isdecimal():
            raise ValueError(f"start_response: a status is like '200 OK', not {status!r}")
        number, reason = int(code), text.encode("latin-1")
        parsed = number, None if reason == REASONS.get(number) else reason
        if len(self.known) < self._MOST:
            self.known[status] = parsed
        return parsed
