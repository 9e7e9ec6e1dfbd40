"""The meaning of a head, without a parser: authorities, targets, lists."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfork.errors import ProtocolError
from pyfork.http.request.authority import is_authority
from pyfork.http.request.head import METHODS, RequestHead, interpret_fields, list_members, read_line
from pyfork.http.request.head_reader import HeadReader
from pyfork.http.request.limits import SizeLimits
from pyfork.http.wsgi.environ import variable


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b"a",
            b"a:",
            b"a:0",
            b"a:80",
            b"a:65535",
            b"A-b.c_d~e",
            b"xn--a.example.",
            b"127.0.0.1",
        ),
        *(
            b"%c3%a4",
            b"!$&'()*+,;=",
            b"[::1]",
            b"[::1]:80",
            b"[::ffff:1.2.3.4]",
            b":80",
            b"a:00080",
        ),
    ],
)
def test_authorities(text: bytes) -> None:
    assert is_authority(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            b" ",
            b"a b",
            b"a/",
            b"a?b",
            b"a#b",
            b"a@b",
            b"a:b",
            b"a:80:80",
            b"a:-1",
            b"a:+1",
            b"a:65536",
        ),
        *(
            b"a:080000",
            b"a\\b",
            b"%",
            b"%zz",
            b"\xe4",
            b"a\0",
            b"a\n",
            b"<a>",
            b"a|b",
            b'"a"',
            b"[a]",
        ),
        *(
            b"[]",
            b"[::1",
            b"::1",
            b"[::1]x",
            b"[::1%25eth0]",
            b"[v1.a]",
            b"[1.2.3.4]",
            b"[::1]:x",
            b"[:::]",
        ),
    ],
)
def test_no_authorities(text: bytes) -> None:
    assert not is_authority(text)


@given(st.text("0123456789abcdef:.", max_size=20))
@settings(deadline=None)
def test_literals_are_those_of_ipaddress(text: str) -> None:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        assert not is_authority(f"[{text}]".encode())
    else:
        assert is_authority(f"[{text}]".encode())


@given(
    host=st.sampled_from([b"b", b"b:80", b"[::1]:80"]),
    path=st.sampled_from([b"", b"/", b"/x", b"//x/", b"/http://c/"]),
    query=st.sampled_from([None, b"", b"y", b"y?/z"]),
)
@settings(deadline=None)
def test_absolute_targets(host: bytes, path: bytes, query: bytes | None) -> None:
    target = b"http://" + host + path + (b"" if query is None else b"?" + query)
    line = read_line(b"GET " + target + b" HTTP/1.1")
    for entry in (None, variable):
        block = HeadReader(SizeLimits(), entry).read_block(b"A: x\r\nHost: other\r\n\r\n", line)
        assert (line.target, RequestHead(line, block).authority) == (target, host)
        assert (line.path, line.query) == (path or b"/", query or b"")
        fields = [(b"host", host), (b"a", b"x")]
        assert block.fields == fields
        assert block.entries == [entry(field) if entry else field for field in fields]


def test_an_absolute_target_does_not_excuse_a_bad_host() -> None:
    for fields in ([], [(b"host", b"a b")]):
        with pytest.raises(ProtocolError) as caught:
            interpret_fields(fields, read_line(b"GET http://b/ HTTP/1.1"), 0)
        assert caught.value.status == 400


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", []),
        (b" , ,", []),
        (b"Close", [b"close"]),
        (b"a,B ,\tc", [b"a", b"b", b"c"]),
        (b"a b", [b"a b"]),
    ],
)
def test_members(value: bytes, expected: list[bytes]) -> None:
    assert list_members(value) == expected


def test_methods_are_their_own_names() -> None:
    assert {"GET", "HEAD", "POST", "OPTIONS", "M-SEARCH"} <= set(METHODS.values())
    assert not {"CONNECT", "PRI"} & set(METHODS.values())
    for name, method in METHODS.items():
        assert read_line(name + b" / HTTP/1.1").method == method


def test_400_comes_before_the_other_refusals() -> None:
    """So that a head that is wrong twice has one answer, whoever reads it."""
    bad = [(b"content-length", b"x"), (b"transfer-encoding", b"gzip")]
    late = [(b"transfer-encoding", b"gzip, chunked"), (b"expect", b"x")]
    for fields, status in ((bad + late, 400), (late, 501), (late[1:], 417)):
        with pytest.raises(ProtocolError) as caught:
            interpret_fields([(b"host", b"a"), *fields], read_line(b"GET / HTTP/1.1"), 0)
        assert caught.value.status == status
