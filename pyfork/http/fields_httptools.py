"""Field lines read by llhttp, through httptools."""

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from pyfork.errors import ProtocolError
from pyfork.http.request import Fields

# llhttp wants a request line; one of our own, since ours is judged in `request`, by a longer
# list of methods than llhttp's.
_LINE = b"GET / HTTP/1.1\r\n"


class HttptoolsFields:
    """Splits field lines. One parser of llhttp serves a connection's heads, one after another."""

    __slots__ = ("_fields", "_fresh", "_parser")

    def __init__(self) -> None:
        self._fields: Fields = []  # of the head being split
        self._fresh = False  # whether llhttp waits for a head, and not for content
        self._parser: HttpRequestParser

    def split(self, block: bytes) -> Fields:
        """Names in lower case and values without blanks around, of lines with an empty one behind.

        Raises ProtocolError where llhttp cannot read them.
        """
        fields = self._fields
        if not self._fresh:
            self._parser = HttpRequestParser(self)
            # When a connection closes is for `Parser` to say: llhttp heeds Proxy-Connection, too.
            self._parser.set_dangerous_leniencies(lenient_keep_alive=True)
        self._fresh = False
        try:
            self._parser.feed_data(_LINE + block)
        except HttpParserUpgrade:
            self._fresh = True
        except HttpParserError:
            raise ProtocolError(400, "invalid header fields") from None
        self._fields = []
        if b" \r\n" in block or b"\t\r\n" in block:
            return [(name, value.rstrip(b" \t")) for name, value in fields]
        return fields

    # Called by llhttp.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.lower(), value))

    def on_message_complete(self) -> None:
        self._fresh = True  # no content was announced: it waits for another head
