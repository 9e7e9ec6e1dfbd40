"""What is asked of a parser is asked of both."""

import pytest

from pyfork.http.request.parsing import RequestParser
from tests.http.reading import PARSERS


@pytest.fixture(params=PARSERS)
def kind(request: pytest.FixtureRequest) -> type[RequestParser]:
    """A parser, by the value of --http that names it."""
    return PARSERS[request.param]
