"""The fields of a certificate; mangled ones always raise the same error."""

import calendar
import ssl
from datetime import UTC, datetime

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from pyfork.net.tls.certificate import Certificate, parse

BEGINS = datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
ENDS = datetime(2051, 3, 1, 12, 0, 1, tzinfo=UTC)  # beyond 2049: GeneralizedTime


def issue(*names: str, **options: object) -> bytes:
    """The DER of a certificate for ``names``."""
    issued = trustme.CA().issue_cert(*names, **options)  # type: ignore[arg-type]
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


WHOLE = issue("Shop.test", "*.shop.test", "127.0.0.1", "::1", not_before=BEGINS, not_after=ENDS)
BY_HAND = issue(common_name="Shop.test")


def read(der: bytes) -> Certificate | None:
    """None: it is no certificate, and that is how it has to be said."""
    try:
        return parse(der)
    except ValueError:
        return None


def test_names_addresses_and_dates() -> None:
    about = parse(WHOLE)
    assert about.names == ("shop.test", "*.shop.test", "127.0.0.1", "::1")
    assert about.begins == calendar.timegm(BEGINS.timetuple())
    assert about.ends == calendar.timegm(ENDS.timetuple())


def test_a_certificate_without_alternative_names_has_its_common_name() -> None:
    assert parse(BY_HAND).names == ("shop.test",)


def test_two_digits_of_a_year() -> None:
    for year, text in ((1950, b"500101000000Z"), (2049, b"490101000000Z")):
        der = BY_HAND.replace(BY_HAND[(at := BY_HAND.index(b"\x17\x0d") + 2) : at + 13], text, 1)
        assert parse(der).begins == calendar.timegm((year, 1, 1, 0, 0, 0))


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        b"\x30\x80",
        b"\x30\xff" + b"\xff" * 200,
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x02\x30\x00",
        b"-----BEGIN CERTIFICATE-----",
    ],
)
def test_what_is_none(der: bytes) -> None:
    assert read(der) is None


def test_one_that_is_cut_short_anywhere() -> None:
    assert [end for end in range(len(WHOLE)) if read(WHOLE[:end])] == []


@given(st.sampled_from([WHOLE, BY_HAND]), st.data())
def test_one_that_is_mangled(der: bytes, data: st.DataObject) -> None:
    """Whatever a few wrong bytes make of lengths and tags."""
    mangled = bytearray(der)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mangled) - 1))
        mangled[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read(bytes(mangled))


def test_one_with_any_byte_changed() -> None:
    """Every tag and every length, to what is short, long, indefinite and nothing."""
    for at in range(len(WHOLE)):
        for wrong in (0x00, 0x01, 0x30, 0x7F, 0x80, 0x81, 0xFF):
            read(WHOLE[:at] + bytes([wrong]) + WHOLE[at + 1 :])


@given(st.binary(max_size=200))
def test_noise(noise: bytes) -> None:
    assert read(noise) is None
