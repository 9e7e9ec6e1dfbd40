"""Dates as HTTP writes them: IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7)."""

import time

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(now: float) -> bytes:
    """``now``, in seconds since 1970, as text.

    Not by strftime, which speaks the language of the locale; nor by email.utils, which loads a
    dozen modules at each start.
    """
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(now)
    clock = f"{hour:02}:{minute:02}:{second:02}"
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {clock} GMT".encode()
