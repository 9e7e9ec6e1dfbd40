"""Field lines read by h11: the choice where httptools is not installed."""

import re

import h11

from pyfork.errors import ProtocolError
from pyfork.http.request import Fields

# h11 wants a request line; in HTTP/1.0 it leaves Host to us.
_LINE = b"GET / HTTP/1.0\r\n"

# h11 merges equal lengths and lower-cases codings, but both are judged in `request`. So it gets
# to see these under a name that means nothing, and any that has such a name under one more.
_FRAMING = re.compile(rb"^(?=-*(?:content-length|transfer-encoding):)", re.I | re.M)
_MARKED = re.compile(rb"-+(?:content-length|transfer-encoding)")


class H11Fields:
    """Splits field lines."""

    __slots__ = ()

    def split(self, block: bytes) -> Fields:
        """Names in lower case and values without blanks around, of lines with an empty one behind.

        Raises ProtocolError where h11 cannot read them.
        """
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=len(block) + len(_LINE))
        reader.receive_data(_LINE + _FRAMING.sub(b"-", block))
        try:
            request = reader.next_event()
        except h11.RemoteProtocolError:
            raise ProtocolError(400, "invalid header fields") from None
        assert isinstance(request, h11.Request)
        return [
            (name[1:] if _MARKED.fullmatch(name) else name, value)
            for name, value in request.headers
        ]
