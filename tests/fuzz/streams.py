"""What a client sends: requests of every kind in a row, some of them mutated."""

from random import Random

PATHS = (b"/", b"/", b"/big", b"/stream", b"/raises", b"/short", b"/breaks", b"/written")
PATHS += (b"/unread", b"/waits")

_FIELDS = (
    b"Connection: close",
    b"Connection: keep-alive",
    b"Expect: 100-continue",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Cookie: a=b",
    b"X-Long: " + b"x" * 500,
)
_WRONG = (
    b"Host: b",
    b"Content-Length: x",
    b"Transfer-Encoding: gzip",
    b"bad name: 1",
    b"X: \0",
)


def request(random: Random) -> bytes:
    """One request, which may be refused."""
    method = random.choice((b"GET", b"GET", b"POST", b"HEAD", b"PUT"))
    version = random.choice((b"1.1",) * 9 + (b"1.0",))
    lines = [b"%b %b HTTP/%b" % (method, random.choice(PATHS), version), b"Host: a"]
    if random.random() < 0.3:
        lines.append(random.choice(_FIELDS))
    if random.random() < 0.03:
        lines.append(random.choice(_WRONG))
    body = b""
    kind = random.random()
    content = random.randbytes(random.choice((1, 10, 1000, 100_000)))
    if method in (b"POST", b"PUT") and kind < 0.5:
        lines.append(b"Content-Length: %d" % len(content))
        body = content
    elif method == b"POST" and kind < 0.9 and version == b"1.1":
        lines.append(b"Transfer-Encoding: chunked")
        size = random.choice((1, 7, 5000))
        pieces = [content[at : at + size] for at in range(0, min(len(content), 50 * size), size)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return b"\r\n".join((*lines, b"", b"")) + body


def mutate(data: bytes, random: Random) -> bytes:
    """A few bytes are others, twice there, not there, or out of place."""
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(data) + 1)
        end = at + random.choice((1, 1, 2, 10))
        inserted = (
            random.randbytes(end - at),
            data[at:end] * 2,
            random.choice((b"\r", b"\n", b"\r\n", b"\0", b" ")) + data[at:end],
            b"",
        )
        data = data[:at] + random.choice(inserted) + data[end:]
    return data[: random.randrange(1, len(data) + 1)] if random.random() < 0.1 and data else data


def stream(random: Random) -> bytes:
    """Several requests in a row; in two of three cases, something is wrong with them."""
    data = b"".join(request(random) for _ in range(random.choice((1, 2, 3, 8, 30))))
    return data if random.random() < 0.33 else mutate(data, random)


def pieces(data: bytes, random: Random) -> list[bytes]:
    """The same in pieces: whole, byte by byte in part, or cut anywhere."""
    kind = random.random()
    if kind < 0.3:
        return [data]
    if kind < 0.5:
        first = [data[at : at + 1] for at in range(min(300, len(data)))]
        return [*first, data[300:]] if data[300:] else first
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(1, 12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]
