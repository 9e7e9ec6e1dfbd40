"""Size limits of a request. Every part of one has a limit, in bytes."""

import sys
from typing import TYPE_CHECKING

from pyfork.record import record

if TYPE_CHECKING:
    from pyfork.config.config import Config

UNLIMITED = sys.maxsize

_LF, _CR = b"\n\r"


def line_size(data: bytes | bytearray, start: int, end: int) -> int:
    """Return the size of the line from ``start`` to ``end`` without its line end, if that has
    arrived.

    The line end is one LF with one CR before it; each further CR belongs to the line.
    """
    if end > start and data[end - 1] == _LF:
        end -= 1
    if end > start and data[end - 1] == _CR:
        end -= 1
    return end - start


@record(kw_only=True)
class SizeLimits:
    """Sizes in bytes without line ends; larger parts get the given status."""

    line: int = 8190  # request line: 414
    field: int = 8190  # one field line: 431
    fields: int = 100  # number of field lines: 431
    head: int = 65536  # all field lines with their line ends: 431
    body: int = 1 << 30  # content: 413

    @classmethod
    def from_config(cls, config: "Config") -> "SizeLimits":
        """Return the limits of ``config``, where 0 means none."""
        return cls(
            line=config.limit_request_line or UNLIMITED,
            field=config.limit_request_field_size or UNLIMITED,
            fields=config.limit_request_fields or UNLIMITED,
            head=config.limit_request_head or UNLIMITED,
            body=config.limit_request_body or UNLIMITED,
        )
