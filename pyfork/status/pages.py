"""The pages of the status server: probes, the status as JSON, metrics.

Rules: reads; changes nothing.
"""

import hmac
import ipaddress
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence

from pyfork.ipc.scoreboard import Scoreboard
from pyfork.metrics import exposition
from pyfork.metrics.families import families
from pyfork.net.tls.certificate import expiries
from pyfork.status.arbiter_link import ArbiterLink
from pyfork.status.http_server import Request, StatusResponse

PATIENCE = 2.0  # seconds for the arbiter to answer

_TEXT = "text/plain; charset=utf-8"

_PAGE_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    ("referrer-policy", "no-referrer"),
)

Page = Callable[[Request], Awaitable[StatusResponse]]


class Pages:
    """Answers requests.

    Args:
        token: empty: the address is local, and none is asked for.
        certificates: files whose expiry is a metric.
        local: a browser may reach the address, by a name that somebody else controls.
    """

    def __init__(
        self,
        arbiter: ArbiterLink,
        board: Scoreboard,
        token: str,
        certificates: Sequence[str],
        *,
        local: bool,
    ) -> None:
        self._certificates = certificates
        self._arbiter = arbiter
        self._board = board
        self._token = token
        self._local = local
        self._open: dict[str, Page] = {
            "/": self._page,
            "/livez": self._livez,
            "/readyz": self._readyz,
        }
        with open(os.path.join(os.path.dirname(__file__), "page.html"), "rb") as file:
            self._html = file.read()
        self._closed: dict[str, Page] = {"/status": self._status, "/metrics": self._metrics}

    async def answer(self, request: Request) -> StatusResponse:
        """The response to a request."""
        page = self._open.get(request.path) or self._closed.get(request.path)
        if page is None:
            return _text(404, "there are /, /metrics, /status, /livez and /readyz")
        if request.method not in ("GET", "HEAD"):
            refusal = _text(405, "GET or HEAD")
            return StatusResponse(405, _TEXT, refusal.content, (("allow", "GET, HEAD"),))
        if request.path in self._closed and (refused := self._refusal(request)):
            return refused
        try:
            return await page(request)
        except TimeoutError:
            return _text(503, f"the arbiter has not answered in {PATIENCE:g} s")

    def _refusal(self, request: Request) -> StatusResponse | None:
        """Why a client does not get what is not open to all."""
        if self._token:
            given = request.headers.get("authorization", "")
            if hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                return None
            text = _text(401, "a token is needed: Authorization: Bearer TOKEN")
            return StatusResponse(401, _TEXT, text.content, (("www-authenticate", "Bearer"),))
        # A page in a browser could have its own name lead to this address.
        if self._local and not _is_local_name(request.headers.get("host", "")):
            return _text(403, "by this name a --status-token is needed")
        return None

    async def _page(self, request: Request) -> StatusResponse:
        """The live page: it has no data, and asks /status for them."""
        return StatusResponse(200, "text/html; charset=utf-8", self._html, _PAGE_HEADERS)

    async def _livez(self, request: Request) -> StatusResponse:
        await self._arbiter.status(PATIENCE)
        return _text(200, "the arbiter answers")

    async def _readyz(self, request: Request) -> StatusResponse:
        status = await self._arbiter.status(PATIENCE)
        return _text(200, "ready") if status["ready"] else _text(503, f"not ready: {_why(status)}")

    async def _status(self, request: Request) -> StatusResponse:
        status = await self._arbiter.status(PATIENCE)
        return StatusResponse(200, "application/json", json.dumps(status).encode())

    async def _metrics(self, request: Request) -> StatusResponse:
        status = await self._arbiter.status(PATIENCE)
        numbers, sums = self._board.totals()
        openmetrics = exposition.wants_openmetrics(request.headers.get("accept", ""))
        certificates = expiries(self._certificates)
        found = families(status, numbers, sums, certificates=certificates, now=time.time())
        text = exposition.text(found, openmetrics=openmetrics)
        kind = exposition.OPENMETRICS if openmetrics else exposition.PROMETHEUS
        return StatusResponse(200, kind, text.encode())


def _why(status: dict[str, object]) -> str:
    if status["state"] in ("serving", "reloading"):
        return "not all workers serve" if status["broken"] is None else "the application is broken"
    return f"the server is {status['state']}"


def _is_local_name(host: str) -> bool:
    """Whether a Host field names an IP address or localhost."""
    name = host.rpartition("]")[0].removeprefix("[") or host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _text(status: int, text: str) -> StatusResponse:
    return StatusResponse(status, _TEXT, f"{text}\n".encode())
