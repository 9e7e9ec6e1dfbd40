"""The date of a response, in the words of RFC 9110 whatever the locale."""

from email.utils import formatdate

import pytest

from pyfork.http.response.date import http_date


def test_the_example_of_the_rfc() -> None:
    assert http_date(784111777.9) == b"Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("now", [0, 951782399, 951782400, 1e9, 1798761599.999, 4102444800])
def test_as_email_writes_it(now: float) -> None:
    assert http_date(now).decode() == formatdate(now, usegmt=True)


def test_every_day_and_month() -> None:
    for now in range(0, 86400 * 366, 86399):
        assert http_date(now).decode() == formatdate(now, usegmt=True)
