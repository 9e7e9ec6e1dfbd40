"""Reads the names and the dates of a certificate.

The standard library tells that of a peer's certificate only. This reads just enough of the DER
(X.690) of RFC 5280, of files that the operator chose; nothing that a client sends comes here.
"""

import calendar
import ipaddress
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from pyfork.record import record

_SEQUENCE, _SET, _OID, _OCTETS = 0x30, 0x31, 0x06, 0x04
_VERSION, _EXTENSIONS = 0xA0, 0xA3  # [0] and [3] of TBSCertificate
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87  # of GeneralName
_UTC_TIME = 0x17
_COMMON_NAME = b"\x55\x04\x03"  # 2.5.4.3
_SUBJECT_ALT_NAME = b"\x55\x1d\x11"  # 2.5.29.17


@record
class Certificate:
    """The names and dates of a certificate. Times are seconds since 1970."""

    names: tuple[str, ...]  # host names in lower case, maybe with "*." in front, and addresses
    begins: float
    ends: float


def parse(der: bytes) -> Certificate:
    """Read a certificate. Raises ValueError if it is none."""
    try:
        return _certificate(der)
    except IndexError as error:
        raise ValueError("not a certificate") from error


def expiries(paths: Iterable[str]) -> dict[str, float]:
    """When certificates expire, in seconds since 1970, by file; those that can be read.

    It is the server's own certificate that counts, the first in each file.
    """
    found = {}
    for path in paths:
        with suppress(OSError, ValueError):
            with open(path) as file:
                first = file.read().partition(ssl.PEM_FOOTER)[0]
            text = first[first.index(ssl.PEM_HEADER) :] + ssl.PEM_FOOTER + "\n"
            found[path] = parse(ssl.PEM_cert_to_DER_cert(text)).ends
    return found


def _certificate(der: bytes) -> Certificate:
    tbs = list(_inside(_only(_only(der, _SEQUENCE), _SEQUENCE)))
    if tbs[0][0] == _VERSION:
        del tbs[0]
    _serial, _algorithm, _issuer, (_, validity), (_, subject), *rest = tbs
    begins, ends = (_seconds(tag, text) for tag, text in _inside(validity))
    extensions = next((data for tag, data in rest if tag == _EXTENSIONS), None)
    names = tuple(_alternatives(extensions)) if extensions is not None else ()
    return Certificate(names or tuple(_common_names(subject)), begins, ends)


def _alternatives(extensions: bytes) -> Iterator[str]:
    for _, extension in _inside(_only(extensions, _SEQUENCE)):
        (_, kind), *_, (tag, value) = _inside(extension)
        if kind != _SUBJECT_ALT_NAME or tag != _OCTETS:
            continue
        for form, name in _inside(_only(value, _SEQUENCE)):
            if form == _DNS_NAME:
                yield name.decode("ascii").lower()
            elif form == _IP_ADDRESS:
                yield str(ipaddress.ip_address(name))


def _common_names(subject: bytes) -> Iterator[str]:
    """The common name, for certificates without alternative names."""
    for _, attributes in _inside(subject):
        for _, attribute in _inside(attributes):
            (_, kind), (_, value) = _inside(attribute)
            if kind == _COMMON_NAME:
                yield value.decode().lower()


def _seconds(tag: int, text: bytes) -> float:
    """RFC 5280 4.1.2.5: two digits of a year below 50 are of this century."""
    digits = text.decode("ascii")
    if tag == _UTC_TIME:
        digits = ("20" if digits < "50" else "19") + digits
    return float(calendar.timegm(time.strptime(digits, "%Y%m%d%H%M%SZ")))


def _only(data: bytes, tag: int) -> bytes:
    """The content of the first element of ``data``, which must have this tag."""
    found, content = next(_inside(data), (None, b""))
    if found != tag:
        raise ValueError("not a certificate")
    return content


def _inside(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements of ``data``: tag and content."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("not a certificate: it is truncated")
        yield tag, data[at : at + length]
        at += length
