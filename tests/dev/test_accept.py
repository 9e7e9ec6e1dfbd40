"""Which type a client gets, by its Accept field."""

import pytest

from pyfork.dev.errors.accept import preferred
from pyfork.dev.errors.app import OFFERED

HTML, JSON, TEXT = OFFERED


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        ("application/json", JSON),
        ("application/json, text/plain, */*", JSON),  # axios
        ("application/*", JSON),
        ("text/*", TEXT),
        ("text/plain", TEXT),
        ("text/html;q=0.5, application/json;q=0.9", JSON),
        ("text/html;q=0.5, application/json;q=0.4", HTML),
        ("text/html, application/json", HTML),
        ("TEXT/HTML", HTML),
        ("text/html;level=1;q=0.7, */*;q=0.1", HTML),
        ("text/html;q=0, */*", TEXT),
        ("text/html;q=0", TEXT),
        ("image/avif, image/webp", TEXT),
        ("text/html;q=2, application/json;q=0.1", JSON),
        ("text/html;q=x, application/json;q=0.1", JSON),
        ("nonsense, ;;, /, text/html/x, application/json", JSON),
        ("text/event-stream", TEXT),
    ],
)
def test_the_type_that_is_liked_best(accept: str, given: str) -> None:
    assert preferred(accept, OFFERED) == given
