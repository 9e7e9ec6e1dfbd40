"""What a ClientHello asks for, of those that OpenSSL makes, whole and damaged."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfork.net.client_hello import ClientHello, read


def hello(name: str | None, *protocols: str, newest: ssl.TLSVersion) -> bytes:
    context = ssl.create_default_context()
    context.maximum_version = newest
    context.check_hostname = name is not None
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
USUAL = hello("Shop.test", "h2", "http/1.1", newest=VERSIONS[1])


@pytest.mark.parametrize("newest", VERSIONS)
def test_what_it_asks_for(newest: ssl.TLSVersion) -> None:
    found = read(hello("Shop.test", "h2", "http/1.1", newest=newest))
    assert found == ClientHello("shop.test", (b"h2", b"http/1.1"))
    assert read(hello("a.test", newest=newest)) == ClientHello("a.test", ())
    assert read(hello(None, "h2", newest=newest)) == ClientHello("", (b"h2",))


def test_in_several_records_and_with_more_behind() -> None:
    message = USUAL[5:]
    for size in (1, 7, 100):
        parts = [message[at : at + size] for at in range(0, len(message), size)]
        records = b"".join(USUAL[:3] + len(each).to_bytes(2, "big") + each for each in parts)
        for behind in (b"", b"\x14\x03\x03\x00\x01\x01", USUAL):
            assert read(records + behind).name == "shop.test"


@given(st.integers(0, len(USUAL) - 1), st.binary(max_size=3))
def test_damaged(at: int, put: bytes) -> None:
    """It asks for nothing, or for something else, and never raises."""
    assert read(USUAL[:at]) == ClientHello()
    read(USUAL[:at] + put + USUAL[at + len(put) :])
    read(put + USUAL[at:])
