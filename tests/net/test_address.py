"""Bind texts: what each means, that it prints back, and what the refusals advise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfork.address import Address, Inet, InheritedFd, Unix, parse
from pyfork.errors import ConfigError

MEANINGS: list[tuple[str, Address]] = [
    ("127.0.0.1:8003", Inet("127.0.0.1", 8003)),
    (" 127.0.0.1:8003 ", Inet("127.0.0.1", 8003)),
    (":8003", Inet("0.0.0.0", 8003)),
    ("localhost", Inet("localhost", 8000)),
    ("my-host.example.com:0", Inet("my-host.example.com", 0)),
    ("tcp://127.0.0.1:80", Inet("127.0.0.1", 80)),
    ("[::]:8003", Inet("::", 8003)),
    ("[::1]", Inet("::1", 8000)),
    ("[fe80::1%eth0]:65535", Inet("fe80::1%eth0", 65535)),
    ("unix:/run/a.sock", Unix("/run/a.sock")),
    ("unix:///run/a.sock", Unix("/run/a.sock")),
    ("unix:a.sock", Unix("a.sock")),
    ("unix:@name", Unix("\0name")),
    ("fd://3", InheritedFd(3)),
]


@pytest.mark.parametrize(("text", "address"), MEANINGS)
def test_each_form_is_understood_and_printed_back(text: str, address: Address) -> None:
    assert parse(text) == address
    assert parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "HOST:PORT"),
        (":", "no port"),
        ("8003", "127.0.0.1:8003"),
        ("::1", "[::1]:8000"),
        ("::1:8003", "[::1:8003]:8000"),
        ("[::1", "[::1]:8000"),
        ("[127.0.0.1]:80", "[::1]:8000"),
        ("[::1]8003", "[::1]:8000"),
        ("host:", "no port"),
        ("host:65536", "65535"),
        ("host:-1", "65535"),
        ("host:٣", "65535"),
        ("ho st:80", "HOST:PORT"),
        ("host/path", "HOST:PORT"),
        ("http://127.0.0.1:8003/x", "write 127.0.0.1:8003"),
        ("ftp://host", "HOST:PORT"),
        ("unix:", "unix:/run"),
        ("unix:@", "unix:/run"),
        ("unix:\0name", "unix:@NAME"),
        ("fd://", "fd://3"),
        ("fd://-1", "fd://3"),
    ],
)
def test_a_refusal_says_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert advice in str(refused.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:80", "http://[::1]:80"),
        ("10.0.0.1:80", "http://10.0.0.1:80"),
        ("unix:/a", "unix:/a"),
        ("fd://3", "fd://3"),
    ],
)
def test_a_link_can_be_clicked(text: str, url: str) -> None:
    assert parse(text).link() == url


@pytest.mark.parametrize("text", ["0.0.0.0:80", "[::]:80", "10.0.0.1:80"])
def test_a_url_says_what_was_bound(text: str) -> None:
    assert parse(text).url() == f"http://{text}"


@given(st.text(alphabet=st.sampled_from("ab1:[].@%/- \0") | st.characters(), max_size=20))
def test_any_text_is_an_address_that_prints_back_or_a_config_error(text: str) -> None:
    for start in ("", "unix:", "fd://", "["):
        try:
            address = parse(start + text)
        except ConfigError:
            continue
        assert parse(str(address)) == address
