"""Requests of the parser's tests, a few of them in a row, and mutated."""

from random import Random

from tests.http.corpus import CHUNKED, FIRST, HANDSHAKE, REFUSED, SERVED, get

LONG = 4096  # bytes of the longest request that is mutated

GOOD = [
    *(raw for _, raw, _, _ in SERVED if len(raw) < LONG),
    FIRST,
    HANDSHAKE,
    HANDSHAKE.replace(b"GET", b"POST"),
    get(b"Content-Length: 5\r\n", b"POST /x?y HTTP/1.1") + b"hello",
    get(b"Cookie: a=b\r\nX-Forwarded-For: c\r\n", b"PUT http://d/ HTTP/1.1"),
    CHUNKED + b"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nName: x\r\n\r\n",
]
BAD = [raw for _, _, raw in REFUSED if len(raw) < LONG]

TOKENS = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b",", b";", b"=", b'"', b"\x80", b"\x0b"),
    *(b"\r\n\r\n", b"\n\n", b"\r\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"0\r\n", b"\x7f", b"\\"),
    *(b"0", b"5", b"00", b"+5", b"0x5", b"-1", b"fffffffffffffffff", b"1;a=b", b"hello", b"/"),
    *(b"Content-Length: 5\r\n", b"content-length:6\r\n", b"Content-Length : 5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"transfer-encoding: Chunked \r\n", b"chunked", b"gzip, "),
    *(b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n"),
    *(b"Connection: Upgrade\r\nUpgrade: x\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    *(b"Host: b\r\n", b"Host: a\r\n", b" folded\r\n", b"Cookie: a=b\r\n", b"X: \xe4\r\n"),
    *(b"HTTP/1.0", b"HTTP/1.1", b"HTTP/1.2", b"HTTP/2.0", b"GET ", b"POST ", b"HEAD ", b"QUERY "),
    *(b"http://b", b"*", b"#", b"?", b"%00", b"[::1]", b"@", b"GET / HTTP/1.1\r\n"),
    FIRST,
)


def stream(random: Random) -> bytes:
    """Some requests in a row; most of them are mutated."""
    raw = b"".join(random.choices(GOOD, k=random.choice((1, 1, 2, 3))))
    if random.random() < 0.2:
        raw += random.choice(BAD)
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        raw = mutated(raw, random)
    return raw


def mutated(raw: bytes, random: Random) -> bytes:
    """``raw`` with one change."""
    at = random.randrange(len(raw) + 1)
    end = min(len(raw), at + random.choice((0, 1, 1, 2, 4, 20)))
    kind = random.randrange(8)
    if kind < 3:
        return raw[:at] + random.choice(TOKENS) + raw[end if kind else at :]
    if kind == 3:
        return raw[:at] + raw[end:]
    if kind == 4:
        return raw[:end] + raw[at:end] + raw[end:]
    if kind == 5:
        return raw[:at] + bytes(byte ^ 1 << random.randrange(8) for byte in raw[at:end]) + raw[end:]
    if kind == 6:
        return raw[:at] + raw[at:end].swapcase() + raw[end:]
    other = random.choice(GOOD + BAD)
    return raw[:at] + other[random.randrange(len(other) + 1) :]


def pieces(raw: bytes, random: Random) -> list[bytes]:
    """``raw``, cut in a few places."""
    cuts = sorted(random.randrange(len(raw) + 1) for _ in range(random.randrange(1, 5)))
    return [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True) if a < b]
