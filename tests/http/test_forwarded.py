"""The client's address, as proxies tell it."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfork.http.proxy_headers import TrustedProxies, node, scheme, script_name

OURS = TrustedProxies((ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("::1")))
EVERYBODY = TrustedProxies("*")


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.9.8.7", "::1", "::ffff:10.1.1.1", ""])
def test_trusted_peers(peer: str) -> None:
    """The empty one is a unix socket's."""
    assert OURS.trust(peer)


@pytest.mark.parametrize("peer", ["127.0.0.2", "11.0.0.1", "::2", "::ffff:11.1.1.1", "nonsense"])
def test_other_peers(peer: str) -> None:
    assert not OURS.trust(peer)
    assert EVERYBODY.trust(peer)


CHAINS = [
    ("1.2.3.4", "1.2.3.4"),
    ("6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the client wrote the first itself
    ("6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
    ("10.0.0.2,10.0.0.1", "10.0.0.2"),  # all of them ours: an internal client
    ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
    # What cannot be read ends the walk; what is left of it is never looked at.
    ("junk, 203.0.113.9", "203.0.113.9"),
    ("unknown, 203.0.113.9", "203.0.113.9"),
    (", 203.0.113.9", "203.0.113.9"),
    ("6.6.6.6, junk, 10.0.0.1", "10.0.0.1"),
    ("6.6.6.6, unknown, 10.0.0.2, 10.0.0.1", "10.0.0.2"),
    ("6.6.6.6, _hidden, 10.0.0.1", "10.0.0.1"),
    ("6.6.6.6,, 10.0.0.1", "10.0.0.1"),
    ("6.6.6.6, unknown", None),
    ("6.6.6.6, ", None),
    ("unknown", None),
    ("_hidden", None),
    ("", None),
    (" , ", None),
    ("\x851.2.3.4", None),  # a blank for str.strip() alone
]


@pytest.mark.parametrize(("chain", "client"), CHAINS)
def test_the_client_is_the_last_that_is_none_of_ours(chain: str, client: str | None) -> None:
    assert OURS.client(chain) == (client and (client, 0))


@pytest.mark.parametrize(
    ("chain", "client"),
    [("6.6.6.6, 1.2.3.4", "6.6.6.6"), ("junk, 1.2.3.4", "1.2.3.4"), ("1.2.3.4, junk", None)],
)
def test_trust_in_everybody_takes_the_first(chain: str, client: str | None) -> None:
    assert EVERYBODY.client(chain) == (client and (client, 0))


def test_a_chain_is_not_followed_without_end() -> None:
    assert OURS.client("1.2.3.4" + ", 10.0.0.1" * 60) == ("1.2.3.4", 0)
    assert OURS.client("1.2.3.4" + ", 10.0.0.1" * 1000) == ("10.0.0.1", 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1.2.3.4", ("1.2.3.4", 0)),
        ("1.2.3.4:5678", ("1.2.3.4", 5678)),
        ("1.2.3.4:_hidden", ("1.2.3.4", 0)),
        ("2001:DB8::1", ("2001:db8::1", 0)),
        ("2001:db8:0:0:0:0:0:1", ("2001:db8::1", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("[2001:db8::1]:5678", ("2001:db8::1", 5678)),
        ("::ffff:1.2.3.4", ("1.2.3.4", 0)),
        ("[::ffff:1.2.3.4]:80", ("1.2.3.4", 80)),
        ("fe80::1%eth0", ("fe80::1", 0)),
        ("[fe80::1%25eth0]:80", ("fe80::1", 80)),
        ("fe80::1%", None),
        ("::1%<script>", None),
        ("1.2.3.4%eth0", None),
        ("[1.2.3.4]", None),
        ("[2001:db8::1", None),
        ("[2001:db8::1]5678", None),
        ("[2001:db8::1]:", None),
        ("1.2.3.4:", None),
        ("1.2.3.4:65536", None),
        ("1.2.3.4:-1", None),
        ("1.2.3.4:\u00b2", None),
        ("1.2.3", None),
        ("01.2.3.4", None),
        ("1.2.3.4.", None),
        ("1.2.3.4\n", None),
        ("example.org", None),
        ("example.org:80", None),
        ("unix:", None),
        ("unknown", None),
        ("unknown:80", None),
        ("_hidden:80", None),
    ],
)
def test_nodes(text: str, found: tuple[str, int] | None) -> None:
    assert node(text) == found


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
    ("field", "client", "proto"),
    [
        ("for=1.2.3.4", ("1.2.3.4", 0), None),
        ("For=1.2.3.4;Proto=https;by=10.0.0.1", ("1.2.3.4", 0), "https"),
        ('for="[2001:db8::1]:80", for=10.0.0.1;proto=http', ("2001:db8::1", 80), "http"),
        ("for=[2001:db8::1], for=10.0.0.1", ("2001:db8::1", 0), None),
        ("for=1.2.3.4;proto=https, for=10.0.0.1", ("1.2.3.4", 0), "https"),
        ("for=6.6.6.6;proto=https, for=1.2.3.4", ("1.2.3.4", 0), None),
        ("for=1.2.3.4; proto=https ;", ("1.2.3.4", 0), "https"),
        ('for="1.2.3.4:_gazonk"', ("1.2.3.4", 0), None),
        ('for="1.2\\.3.4"', ("1.2.3.4", 0), None),
        ('for=1.2.3.4;host="a, b"', ("1.2.3.4", 0), None),
        (r'for=1.2.3.4;host="a\", for=127.0.0.1, \"b"', ("1.2.3.4", 0), None),
        # The last is no address.
        ("for=unknown", None, None),
        ("for=unknown;proto=https", None, "https"),
        ("for=_hidden", None, None),
        ("by=10.0.0.1", None, None),
        ("for=6.6.6.6, by=10.0.0.1", None, None),
        ("for=6.6.6.6, for=unknown", None, None),
        ("for=6.6.6.6,", None, None),
        ("for=6.6.6.6;for=10.0.0.1", None, None),
        ("for=", None, None),
        ("for=1.2.3.4 x", None, None),
        ('for="1.2.3.4', None, None),
        ('for="1.2.3.4\\"', None, None),
        ('for=1.2.3.4"', None, None),
        ("", None, None),
        # The one before is none.
        ('for="a, for=203.0.113.9', ("203.0.113.9", 0), None),
        ('x=", for="[2001:db8::1]:80"', ("2001:db8::1", 80), None),
        ("for=unknown, for=203.0.113.9", ("203.0.113.9", 0), None),
        ("for=_hidden, for=10.0.0.1", ("10.0.0.1", 0), None),
        ("for=6.6.6.6, junk, for=10.0.0.1", ("10.0.0.1", 0), None),
    ],
)
def test_the_standard_field(field: str, client: tuple[str, int] | None, proto: str | None) -> None:
    assert OURS.forwarded(field) == (client, proto)


def test_which_field_counts() -> None:
    chain, proto, forwarded = b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"
    assert OURS.origin({}) == (None, None)
    assert OURS.origin({chain: b"1.2.3.4", forwarded: b"for=5.6.7.8"}) == (("1.2.3.4", 0), None)
    assert OURS.origin({proto: b"https", forwarded: b"for=5.6.7.8"}) == (None, "https")
    assert OURS.origin({forwarded: b"for=5.6.7.8;proto=https"}) == (("5.6.7.8", 0), "https")


# What a client may write, before the part that our proxies append.
WRITTEN = st.one_of(
    st.text(st.characters(max_codepoint=255)),
    st.text('",;=\\ for127.[:]_', max_size=40),
    st.sampled_from(["127.0.0.1", "for=127.0.0.1", 'for="127.0.0.1', "for=127.0.0.1;x=\\", "["]),
)
CLIENTS = st.sampled_from(["203.0.113.9", "2001:db8::9"])
HOPS = st.lists(st.sampled_from(["10.0.0.1", "127.0.0.1", "::1", "10.255.0.3"]), max_size=3)


def quoted(text: str) -> str:
    """A quoted-string (RFC 9110 5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def in_brackets(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@given(WRITTEN, CLIENTS, HOPS)
def test_no_client_can_pass_for_another(written: str, client: str, hops: list[str]) -> None:
    assert OURS.client(", ".join([written, client, *hops])) == (client, 0)


@given(WRITTEN, CLIENTS, HOPS, st.lists(WRITTEN, min_size=4, max_size=4))
def test_no_client_can_pass_for_another_in_the_standard_field(
    written: str, client: str, hops: list[str], hosts: list[str]
) -> None:
    """Proxies say what Host the client wanted, which it may choose too."""
    appended = [
        f"for={quoted(in_brackets(hop))};host={quoted(host)}"
        for hop, host in zip([client, *hops], hosts, strict=False)
    ]
    assert OURS.forwarded(", ".join([written, *appended])) == ((client, 0), None)


@given(st.text(st.characters(max_codepoint=255)) | WRITTEN)
def test_whatever_comes_is_an_address_or_nothing(text: str) -> None:
    for proxies in (OURS, EVERYBODY):
        found, proto = proxies.forwarded(text)
        assert proto in (None, "http", "https", "ws", "wss")
        for client in (found, proxies.client(text)):
            if client is not None:
                assert str(ip_address(client[0])) == client[0]
                assert 0 <= client[1] <= 0xFFFF


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (b"/shop", "/shop"),
        (b"/shop/", "/shop"),
        (b"/a/b-c_d.e~1", "/a/b-c_d.e~1"),
        (b"/\xc3\xa9", "/\u00c3\u00a9"),
        (b"/", ""),
        (b"", ""),
        (b"shop", None),
        (b"//evil.example", None),
        (b"/a//b", None),
        (b"/\\evil.example", None),
        (b"/a,/b", None),
        (b"/a?b", None),
        (b"/a#b", None),
        (b"/a b", None),
        (b"https://evil.example/", None),
    ],
)
def test_script_names(field: bytes, found: str | None) -> None:
    assert script_name(field) == found
