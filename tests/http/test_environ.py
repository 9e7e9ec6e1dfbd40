"""The environ of a request, without a server."""

import io
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from pyfork.http.request.head import FieldBlock, RequestHead, RequestLine
from pyfork.http.wsgi.environ import EnvironBuilder, variable


def link() -> Any:
    return SimpleNamespace(
        gateway_cache=None,
        scheme="http",
        sockname=("127.0.0.1", 80),
        peer_host="10.0.0.1",
        peer_port=5,
        trusted=False,
    )


def environs(root: str) -> EnvironBuilder:
    return EnvironBuilder(multithread=False, multiprocess=False, root_path=root)


def environ(
    *fields: tuple[bytes, bytes], path: bytes = b"/", root: str = "", body: bytes = b""
) -> dict[str, Any]:
    head = RequestHead(RequestLine("GET", path, "1.1"), FieldBlock({}, keep_alive=True))
    head.block.entries = [variable(field) for field in fields]
    head.block.content_length = len(body) if body else None
    return environs(root).make(link(), head, io.BytesIO(body), len(body))


def test_fields_get_their_cgi_names() -> None:
    made = environ((b"host", b"a"), (b"content-type", b"text/plain"), (b"x-one", b"1"))
    assert (made["HTTP_HOST"], made["CONTENT_TYPE"], made["HTTP_X_ONE"]) == ("a", "text/plain", "1")
    assert "HTTP_CONTENT_TYPE" not in made


def test_the_framing_is_not_the_applications() -> None:
    """A chunked body has a length by now."""
    made = environ((b"transfer-encoding", b"chunked"), body=b"abc")
    assert "HTTP_TRANSFER_ENCODING" not in made
    assert made["CONTENT_LENGTH"] == "3"
    assert "CONTENT_LENGTH" not in environ()


def test_underscores_cannot_imitate() -> None:
    made = environ((b"x_real_ip", b"6.6.6.6"), (b"content_length", b"5"), (b"content_type", b"a"))
    assert not [key for key in made if "REAL" in key]
    assert not {"HTTP_CONTENT_LENGTH", "CONTENT_LENGTH", "CONTENT_TYPE"} & made.keys()


def test_fields_that_come_twice_are_joined() -> None:
    made = environ((b"accept", b"a"), (b"accept", b"b"), (b"cookie", b"c=1"), (b"cookie", b"d=2"))
    assert (made["HTTP_ACCEPT"], made["HTTP_COOKIE"]) == ("a,b", "c=1; d=2")


@pytest.mark.parametrize(
    ("path", "root", "found"),
    [
        (b"/a", "", "/a"),
        (b"/a%2Fb%20c", "", "/a/b c"),
        (b"/%25", "", "/%"),
        (b"/below/a", "/below", "/a"),
        (b"/below", "/below", ""),
        (b"/belows", "/below", "/belows"),
        (b"/a", "/below", "/a"),
        (quote("/é").encode(), "", "/é".encode().decode("latin-1")),
    ],
)
def test_the_path(path: bytes, root: str, found: str) -> None:
    """Decoded once, bytes as latin-1 (PEP 3333), without what a proxy has put before it."""
    made = environ(path=path, root=root)
    assert (made["SCRIPT_NAME"], made["PATH_INFO"]) == (root, found)
