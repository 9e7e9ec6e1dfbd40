"""Who the client is, as proxies tell it."""

from ipaddress import ip_network

import pytest

from pyfork.http.forwarded import Proxies, from_forwarded, scheme

OURS = Proxies((ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("::1")))


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.9.8.7", "::1", "::ffff:10.1.1.1", ""])
def test_trusted_peers(peer: str) -> None:
    """The empty one is a unix socket's."""
    assert OURS.trust(peer)


@pytest.mark.parametrize("peer", ["127.0.0.2", "11.0.0.1", "::2", "::ffff:11.1.1.1", "nonsense"])
def test_other_peers(peer: str) -> None:
    assert not OURS.trust(peer)
    assert Proxies("*").trust(peer)


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the client wrote the first itself
        ("6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
        ("10.0.0.2,10.0.0.1", "10.0.0.2"),  # all of them ours: an internal client
        ("1.2.3.4:5678", "1.2.3.4"),
        ("[2001:db8::1]:5678", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("unknown", None),
        ("1.2.3.4, ", None),
        ("", None),
    ],
)
def test_the_client_is_the_last_that_is_none_of_ours(chain: str, client: str | None) -> None:
    assert OURS.client(chain) == client


def test_who_believes_everyone_believes_the_first() -> None:
    assert Proxies("*").client("6.6.6.6, 1.2.3.4") == "6.6.6.6"


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("http, https", "https"),
        ("wss", "wss"),
        ("javascript", None),
        ("", None),
    ],
)
def test_the_scheme(field: str, found: str | None) -> None:
    assert scheme(field) == found


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("for=1.2.3.4", ("1.2.3.4", "")),
        ("For=1.2.3.4;Proto=https;by=10.0.0.1", ("1.2.3.4", "https")),
        ('for="[2001:db8::1]:80", for=10.0.0.1;proto=http', ("[2001:db8::1]:80, 10.0.0.1", "http")),
        ("by=10.0.0.1", ("", "")),
        ('for="a, b', None),
    ],
)
def test_the_standard_field(field: str, found: tuple[str, str] | None) -> None:
    if found is None:
        assert OURS.client(from_forwarded(field)[0]) is None
    else:
        assert from_forwarded(field) == found
