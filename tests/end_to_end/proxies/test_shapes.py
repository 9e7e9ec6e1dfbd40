"""Every way in which an application may answer arrives behind a proxy as it does without one."""

from http.client import HTTPConnection, HTTPException

from tests.end_to_end.proxies.conftest import ProxySite
from tests.harness.server import PATIENCE, exchange

# What tests.apps.kinds and tests.apps.asgi_kinds can do in one GET, without a second one's help.
WSGI = """whole generator late-start written nothing no-content second-thought too-late breaks
short long split-header unstarted leaves file"""
ASGI = """streams raises raises-between raises-late returns returns-late short long body-first
starts-twice unknown context"""
SHAPES = {"wsgi": WSGI.split(), "asgi": ASGI.split()}

# Caddy 2.6 ends a chunked response as if it were whole where its upstream broke off.
ENDS_CLEANLY = {"caddy"}


def fetch(address: str, path: str) -> tuple[int, bytes] | str:
    """Status and body, or what became of an answer that is not whole."""
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        answer = exchange(connection, "GET", path)
    except (HTTPException, ConnectionError) as error:
        return type(error).__name__
    finally:
        connection.close()
    if path == "/file":  # half of it is random
        return answer.status, b"%d" % len(answer.body)
    return answer.status, answer.body


def test_each_shape(site: ProxySite) -> None:
    for shape in SHAPES[site.interface]:
        direct = fetch(f"127.0.0.1:{site.server.port}", f"/{shape}")
        behind = fetch(site.front.address, f"/{shape}")
        if isinstance(direct, str):  # what is cut short must not look whole
            cut = isinstance(behind, str) or behind[0] == 502
            assert cut or site.front.kind in ENDS_CLEANLY, shape
        else:
            assert behind == direct, shape
