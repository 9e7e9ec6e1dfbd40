"""What RFC 9110 and 9112 ask of a server's parser, as requests: refused with which status, or read.

The numbers are rows of one list of requirements: 1 Host, 2 absolute form, 3 long targets, 4 blank
before a colon, 5 obs-fold, 6 blank line start, 7 bare CR, 8 CTL in values, 9 OWS, 10 large fields,
11 Content-Length, 12 overflow, 13 codings, 14 both framings, 15 TE in 1.0, 16 chunked, 22 close,
25 persistence, 26 expectations, 27 letter case, 29 versions, 31 upgrade. 0 is for the rest: what
RFC 9112 says SHOULD, and the limits.
"""

from typing import Any

FIRST = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
BEHIND = b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def get(fields: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    """A request with a Host, and ``fields`` behind it."""
    return line + b"\r\nHost: a\r\n" + fields + b"\r\n"


HANDSHAKE = get(b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", b"GET /ws HTTP/1.1")

REFUSED: list[tuple[int, int, bytes]] = [
    # row, status, request
    (1, 400, b"GET / HTTP/1.1\r\n\r\n"),
    (1, 400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (1, 400, b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    (1, 400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    (1, 400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    (1, 400, b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"),
    (1, 400, b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    (1, 400, b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
    (1, 400, b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    (1, 400, b"GET / HTTP/1.1\r\nHost: [1::2::3]\r\n\r\n"),
    (1, 400, b"GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"),
    (1, 400, b"GET http://b/ HTTP/1.1\r\n\r\n"),
    (2, 400, get(b"", b"GET http:///x HTTP/1.1")),
    (2, 400, get(b"", b"GET http://:80/x HTTP/1.1")),
    (2, 400, get(b"", b"GET http://user@b/ HTTP/1.1")),
    (2, 400, get(b"", b"GET ftp://b/ HTTP/1.1")),
    (3, 414, get(b"", b"GET /" + b"a" * 8200 + b" HTTP/1.1")),
    (4, 400, get(b"Name : x\r\n")),
    (4, 400, get(b"Name\t: x\r\n")),
    (4, 400, get(b"Transfer-Encoding : chunked\r\n")),
    (5, 400, get(b"Name: x\r\n y\r\n")),
    (5, 400, get(b"Name: x\r\n\ty\r\n")),
    (5, 400, get(b"Name:\r\n x\r\n")),
    (5, 400, get(b"Name: x\r\n \r\n")),
    (6, 400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    (6, 400, b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n"),
    (7, 400, get(b"Name: x\ry\r\n")),
    (7, 400, get(b"Name: x\r\r\n")),
    (7, 400, get(b"Na\rme: x\r\n")),
    (7, 400, b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    (7, 400, b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"),
    (8, 400, get(b"Name: x\0y\r\n")),
    (8, 400, get(b"Name: x\ny\r\n")),
    (8, 400, get(b"Name: x\x7f\r\n")),
    (8, 400, get(b"Name: \x0b\r\n")),
    (8, 400, get(b"Name: x\nContent-Length: 5\r\n")),
    (0, 400, b"GET / HTTP/1.1\nHost: a\n\n"),
    (0, 400, b"GET / HTTP/1.1\r\nHost: a\n\r\n"),
    (0, 400, b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    (0, 400, get(b": x\r\n")),
    (0, 400, get(b"Name\r\n")),
    (0, 400, get(b"Na(me: x\r\n")),
    (0, 400, get(b"N\xe4me: x\r\n")),
    (0, 400, get(b"Na\0me: x\r\n")),
    (10, 431, get(b"Name: " + b"x" * 8190 + b"\r\n")),
    (10, 431, get(b"Name: x\r\n" * 100)),
    (10, 431, get((b"Name: " + b"x" * 8000 + b"\r\n") * 9)),
    (11, 400, get(b"Content-Length: x\r\n")),
    (11, 400, get(b"Content-Length:\r\n")),
    (11, 400, get(b"Content-Length: +5\r\n")),
    (11, 400, get(b"Content-Length: -5\r\n")),
    (11, 400, get(b"Content-Length: 5_0\r\n")),
    (11, 400, get(b"Content-Length: 0x5\r\n")),
    (11, 400, get(b"Content-Length: 5 5\r\n")),
    (11, 400, get(b"Content-Length: 5, 5\r\n")),
    (11, 400, get(b"Content-Length: 5\r\nContent-Length: 5\r\n")),
    (11, 400, get(b"Content-Length: 5\r\nContent-Length: 6\r\n")),
    (11, 400, get(b"Content-Length: 5.0\r\n")),
    (11, 400, get(b"Content-Length: \xb2\r\n")),
    (12, 400, get(b"Content-Length: 18446744073709551617\r\n")),
    (12, 400, get(b"Content-Length: " + b"9" * 4000 + b"\r\n")),
    (12, 400, CHUNKED + b"10000000000000001\r\n"),
    (12, 400, CHUNKED + b"f" * 500 + b"\r\n"),
    (13, 400, get(b"Transfer-Encoding: gzip\r\n")),
    (13, 400, get(b"Transfer-Encoding: chunked, gzip\r\n")),
    (13, 400, get(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")),
    (13, 400, get(b"Transfer-Encoding: chunked, chunked\r\n")),
    (13, 400, get(b"Transfer-Encoding: \x80chunked\r\n")),
    (13, 400, get(b"Transfer-Encoding: xchunked\r\n")),
    (13, 400, get(b"Transfer-Encoding: chunked;a=b\r\n")),
    (13, 400, get(b'Transfer-Encoding: "chunked"\r\n')),
    (13, 400, get(b"Transfer-Encoding:\r\n")),
    # What 9110 5.6.1 lets a recipient ignore, another one in front may read otherwise.
    (13, 400, get(b"Transfer-Encoding: chunked,\r\n")),
    (13, 400, get(b"Transfer-Encoding: , chunked\r\n")),
    (13, 400, get(b"Transfer-Encoding: ,,chunked\r\n")),
    (13, 400, get(b"Transfer-Encoding: chunked, \t\r\n")),
    (13, 400, get(b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n")),
    (13, 400, get(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: \r\n")),
    (13, 501, get(b"Transfer-Encoding: gzip, chunked\r\n")),
    (13, 501, get(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n")),
    (14, 400, get(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
    (14, 400, get(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
    (14, 400, get(b"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n")),
    (15, 400, get(b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.0")),
    (15, 400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (16, 400, CHUNKED + b"\r\n"),
    (16, 400, CHUNKED + b"x\r\n"),
    (16, 400, CHUNKED + b"-1\r\n"),
    (16, 400, CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + b"5_0\r\n"),
    (16, 400, CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + b"5\nhello\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + b"5\rhello\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + b"5\r\nhello0\r\n\r\n"),
    (16, 400, CHUNKED + b"5\r\nhello\n0\r\n\r\n"),
    (16, 400, CHUNKED + b"5\r\nhello\rx0\r\n\r\n"),
    (16, 400, CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + b"5;\r\nhello\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + b"5;a\0=b\r\nhello\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + b"5;a=b\nhello\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + b'5;a="\r\nhello\r\n0\r\n\r\n'),
    (16, 400, CHUNKED + b"5;a=" + b"b" * 1100 + b"\r\nhello\r\n0\r\n\r\n"),
    (16, 400, CHUNKED + (b"1;a=" + b"b" * 1000 + b"\r\nx\r\n") * 20),
    (16, 400, CHUNKED + b"0\r\nName : x\r\n\r\n"),
    (16, 400, CHUNKED + b"0\r\n x\r\n\r\n"),
    (16, 400, CHUNKED + b"0\r\nName: x\r\n y\r\n\r\n"),
    (16, 400, CHUNKED + b"0\r\nName: x\ny\r\n\r\n"),
    (16, 400, CHUNKED + b"0\r\n\n"),
    (16, 400, CHUNKED + b"0\r\n" + b"Name: x\r\n" * 101 + b"\r\n"),
    (16, 400, CHUNKED + b"0\r\nName: " + b"x" * 9000 + b"\r\n\r\n"),
    (16, 400, CHUNKED + b"0\r\n" + (b"Name: " + b"x" * 8000 + b"\r\n") * 9 + b"\r\n"),
    (26, 417, get(b"Expect: payment\r\n")),
    (26, 417, get(b"Content-Length: 5\r\nExpect: 100-continue, payment\r\n")),
    (27, 501, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (27, 501, b"NONSENSE / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (29, 505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    (29, 505, b"GET / HTTP/3.0\r\nHost: a\r\n\r\n"),
    (29, 505, b"GET / HTTP/0.9\r\n\r\n"),
    (29, 505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (29, 400, b"GET /\r\n\r\n"),
    (29, 400, b"GET / HTTP/11\r\nHost: a\r\n\r\n"),
    (29, 400, b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    (29, 400, b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    (29, 400, b"GET / RTSP/1.0\r\nHost: a\r\n\r\n"),
    (29, 400, b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    (0, 501, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, 501, b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, 400, get(b"", b"GET a:80 HTTP/1.1")),
    (0, 400, get(b"", b"GET x/y HTTP/1.1")),
    (0, 400, get(b"", b"GET ?x HTTP/1.1")),
    (0, 400, get(b"", b"GET * HTTP/1.1")),
    (0, 400, get(b"", b"OPTIONS *x HTTP/1.1")),
    (0, 400, get(b"", b"GET /#top HTTP/1.1")),
    (0, 400, get(b"", b"GET http://b/#top HTTP/1.1")),
    (0, 400, get(b"", b"GET /a b HTTP/1.1")),
    (0, 400, get(b"", b"GET  / HTTP/1.1")),
    (0, 400, get(b"", b"GET /  HTTP/1.1")),
    (0, 400, get(b"", b"GET\t/ HTTP/1.1")),
    (0, 400, get(b"", b"GET /\0 HTTP/1.1")),
    (0, 400, get(b"", b"GET /\x7f HTTP/1.1")),
    (0, 400, get(b"", b"GET /\xc3\xa4 HTTP/1.1")),
    (0, 400, get(b"", b" GET / HTTP/1.1")),
    (0, 400, get(b"", b"G@T / HTTP/1.1")),
    (0, 400, get(b"", b"\r\n\r\nGET / HTTP/1.1")),
    (0, 400, get(b"", b"\nGET / HTTP/1.1")),
    (0, 400, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
    (0, 413, get(b"Content-Length: 1073741825\r\n")),
    (0, 413, CHUNKED + b"40000001\r\n"),
]


def served(
    row: int, raw: bytes, body: bytes = b"", **expected: Any
) -> tuple[int, bytes, bytes, dict[str, Any]]:
    return row, raw, body, expected


SERVED = [
    served(1, b"GET / HTTP/1.0\r\n\r\n", version="1.0", authority=b"", headers=[]),
    served(1, b"GET / HTTP/1.1\r\nHost:\r\n\r\n", authority=b"", headers=[(b"host", b"")]),
    served(1, b"GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n", authority=b"[::1]:8000"),
    served(1, b"GET / HTTP/1.1\r\nhOST: A.example:\r\n\r\n", authority=b"A.example:"),
    served(
        2,
        get(b"Name: x\r\n", b"GET HTTP://b:80/x?y HTTP/1.1"),
        target=b"HTTP://b:80/x?y",
        path=b"/x",
        query=b"y",
        authority=b"b:80",
        headers=[(b"host", b"b:80"), (b"name", b"x")],
    ),
    served(2, get(b"", b"GET https://b?y HTTP/1.1"), path=b"/", query=b"y", authority=b"b"),
    served(2, get(b"", b"OPTIONS http://b HTTP/1.1"), path=b"*", authority=b"b"),
    served(
        2, b"GET http://b/ HTTP/1.0\r\n\r\n", authority=b"b", path=b"/", headers=[(b"host", b"b")]
    ),
    served(0, get(b"", b"OPTIONS * HTTP/1.1"), path=b"*", method="OPTIONS"),
    served(0, get(b"", b"GET /%2f?a?b=%zz HTTP/1.1"), path=b"/%2f", query=b"a?b=%zz"),
    served(0, get(b"", b'GET //a/"{|}<>[]^`\\ HTTP/1.1'), path=b'//a/"{|}<>[]^`\\'),
    served(0, get(b"", b"GET /? HTTP/1.1"), path=b"/", query=b""),
    served(3, get(b"", b"GET /" + b"a" * 8176 + b" HTTP/1.1"), path=b"/" + b"a" * 8176),
    served(
        9,
        get(b"A:x\r\nB: \t x y \t \r\nC:\r\nD: \r\nE: \xe4\r\na: z\r\n"),
        headers=[
            (b"host", b"a"),
            (b"a", b"x"),
            (b"b", b"x y"),
            (b"c", b""),
            (b"d", b""),
            (b"e", b"\xe4"),
            (b"a", b"z"),
        ],
    ),
    served(10, get(b"Name: " + b"x" * 8184 + b"\r\n"), method="GET"),
    served(10, get(b"Name: x\r\n" * 99), method="GET"),
    served(11, get(b"Content-Length: 005 \r\n") + b"hello", b"hello", content_length=5),
    served(11, get(b"Content-Length: 0\r\n"), content_length=0),
    served(11, b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    served(
        16,
        CHUNKED
        + b'5\r\nhello\r\n00A;a;b=c ; d = "\\"\xe4 ;"\r\n, world...\r\n0;x\r\nHost: b\r\n\r\n',
        b"hello, world...",
        chunked=True,
        content_length=None,
        headers=[(b"host", b"a"), (b"transfer-encoding", b"chunked")],
    ),
    served(16, CHUNKED + b"0\r\n\r\n", chunked=True),
    served(16, CHUNKED + b"9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n\r\n"),
    served(22, get(b"Connection: x, Close\r\n"), keep_alive=False),
    served(22, get(b"Connection: x\r\nConnection: CLOSE ,\r\n"), keep_alive=False),
    served(22, get(b"Connection: keep-alive, close\r\n"), keep_alive=False),
    served(22, get(b"Connection: closed\r\n"), keep_alive=True),
    served(22, get(b"Proxy-Connection: close\r\n"), keep_alive=True),
    served(25, get(b"", b"GET / HTTP/1.0"), keep_alive=False),
    served(25, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", keep_alive=True),
    served(25, get(b"Connection: Keep-Alive\r\n", b"GET / HTTP/1.0"), keep_alive=True),
    served(25, get(b"Connection: keep-alive, close\r\n", b"GET / HTTP/1.0"), keep_alive=False),
    served(
        26, get(b"Expect: 100-Continue\r\nContent-Length: 1\r\n") + b"x", b"x", expect_continue=True
    ),
    served(26, get(b"Expect: 100-continue\r\n"), expect_continue=False),
    served(
        26,
        get(b"Expect: 100-continue\r\nContent-Length: 1\r\n", b"POST / HTTP/1.0") + b"x",
        b"x",
        expect_continue=False,
    ),
    served(26, get(b"Expect: payment\r\n", b"GET / HTTP/1.0"), expect_continue=False),
    served(
        27, CHUNKED.replace(b"chunked", b"ChunKed") + b"1\r\nx\r\n0\r\n\r\n", b"x", chunked=True
    ),
    served(27, get(b"", b"VERSION-CONTROL / HTTP/1.1"), method="VERSION-CONTROL"),
    served(29, get(b"", b"GET / HTTP/1.2"), version="1.1", keep_alive=True),
    served(31, get(b"Connection: Upgrade\r\nUpgrade: H2C, x\r\n"), upgrade=b"h2c"),
    served(31, get(b"Upgrade: websocket\r\n"), upgrade=b""),
    served(31, get(b"Connection: Upgrade\r\n"), upgrade=b""),
    served(31, get(b"Connection: Upgrade\r\nUpgrade: ,\r\n"), upgrade=b""),
    served(
        31, get(b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"GET / HTTP/1.0"), upgrade=b""
    ),
    served(
        31,
        get(b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n") + b"hello",
        b"hello",
        upgrade=b"h2c",
    ),
    served(
        31,
        get(b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n") + b"hello",
        b"hello",
        upgrade=b"",
    ),
    served(0, b"\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", path=b"/x"),
]


def name(case: tuple[Any, ...]) -> str:
    """Of a case: its row, and what is unusual in it, as far as that fits."""
    raw = next(part for part in case if isinstance(part, bytes))
    text = raw.removeprefix(CHUNKED).replace(b"Host: a\r\n", b"")
    return f"{case[0]}-{text[:60]!r}"
