"""What a worker remembers of heads."""

import pytest

from pyfork.http.cache import MAX_ENTRIES
from pyfork.http.request.head import read_line
from pyfork.http.request.head_reader import FieldMapper, HeadReader
from pyfork.http.request.limits import SizeLimits
from pyfork.http.wsgi.environ import variable
from tests.http.reading import parts

GET = read_line(b"GET / HTTP/1.1")


@pytest.mark.parametrize("entry", [None, variable])
def test_what_clients_make_up_is_not_kept(entry: FieldMapper | None) -> None:
    reader = HeadReader(SizeLimits(), entry)
    for number in range(3 * MAX_ENTRIES):
        head = (
            b"GET /%d HTTP/1.1\r\nHost: a%d\r\nx-%d: y\r\nCookie: %d\r\nAuthorization: b\r\n\r\n"
            % (number, number, number, number)
        )
        for _ in range(2):  # what comes once is not kept at all
            found = reader.read_complete(head, 0, len(head) - 4)
        assert found is not None
        assert found[0].block.fields[1] == (b"x-%d" % number, b"y")
        memories = [
            getattr(reader, name) for name in ("known", "_fields", "_ours", "_names", "_meanings")
        ]
        assert all(0 < len(memory) <= MAX_ENTRIES for memory in memories)
        assert not any(b"Cookie" in key or b"Auth" in key for key in reader._fields)


def test_a_first_request_is_nobody_elses() -> None:
    """What one connection makes of it stays with that, and secrets are not remembered."""
    reader = HeadReader(SizeLimits())
    plain = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    told = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: b=c\r\n\r\n"
    content = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    empty = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    for _ in range(3):
        for data in (plain, told, content, empty):
            found = reader.read_first(data, len(data) - 4)
            alike = reader.read_complete(data, 0, len(data) - 4)
            assert found is not None
            assert alike is not None
            assert parts(found[0]) == parts(alike[0])
            assert found[1] == alike[1]
            assert (
                found[0].gateway_cache
                is found[0].block.gateway_cache
                is found[0].block.log_cache
                is None
            )
            found[0].gateway_cache = found[0].block.gateway_cache = found[0].block.log_cache = [
                "mine"
            ]
    assert set(reader._firsts) == {plain}


def test_what_is_said_to_the_server_is_heard_each_time() -> None:
    """A line that is known means as much as one that is not."""
    reader = HeadReader(SizeLimits())
    for _ in range(3):
        block = reader.read_block(b"Host: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", GET)
        assert (block.host, block.keep_alive, block.content_length) == (b"a", False, 5)
        block = reader.read_block(b"Host: a\r\nX: y\r\n\r\n", GET)
        assert (block.host, block.keep_alive, block.content_length) == (b"a", True, None)
