"""What a lifespan asks of an application, and what comes of its answers."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pyfork.errors import BootError
from pyfork.worker.asgi.lifespan import Lifespan

Send = Callable[[Any], Awaitable[None]]


def app(*steps: str) -> Any:
    """An application that sends what ``steps`` say; ``receive`` waits, ``raise`` raises."""

    async def run(scope: Any, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        assert scope["type"] == "lifespan"
        scope["state"]["seen"] = []
        for step in steps:
            if step == "receive":
                scope["state"]["seen"].append((await receive())["type"])
            elif step == "raise":
                raise LookupError("no database")
            else:
                await send({"type": f"lifespan.{step}", "message": "so it is"})

    return run


def live(application: Any, *, required: bool = False) -> list[str]:
    """Start and end; what the application has received."""
    state: dict[str, Any] = {}

    async def both() -> None:
        lifespan = Lifespan(application, state, required=required)
        await lifespan.startup()
        await lifespan.shutdown()

    asyncio.run(asyncio.wait_for(both(), 30))
    seen: list[str] = state.get("seen", [])
    return seen


WHOLE = ("receive", "startup.complete", "receive", "shutdown.complete")


@pytest.mark.parametrize("required", [False, True])
def test_start_and_end_are_told(required: bool) -> None:
    assert live(app(*WHOLE), required=required) == ["lifespan.startup", "lifespan.shutdown"]


def test_an_application_may_return_at_once(caplog: pytest.LogCaptureFixture) -> None:
    assert live(app()) == []
    assert live(app("receive", "startup.complete")) == ["lifespan.startup"]
    assert not caplog.records


def test_to_raise_at_the_start_is_to_have_no_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    assert live(app("raise")) == []
    assert not caplog.records


@pytest.mark.parametrize(
    ("steps", "required", "says"),
    [
        (("raise",), True, "LookupError: no database"),
        (("receive", "startup.failed"), False, "so it is"),
        (("receive", "startup.failed", "raise"), False, "so it is"),
        (("shutdown.complete",), True, "lifespan.shutdown.complete does not answer"),
    ],
)
def test_a_start_that_fails(steps: tuple[str, ...], required: bool, says: str) -> None:
    with pytest.raises(BootError) as failed:
        live(app(*steps), required=required)
    assert says in failed.value.detail


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (("receive", "startup.complete", "raise"), "LookupError: no database"),
        (("receive", "startup.complete", "startup.complete"), "does not answer"),
        ((*WHOLE[:3], "raise"), "LookupError: no database"),
        ((*WHOLE[:3], "shutdown.failed", "raise"), "so it is"),
    ],
)
def test_what_goes_wrong_later_is_logged_once(
    steps: tuple[str, ...], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "pyfork.error"):
        live(app(*steps))
    (record,) = caplog.records
    assert says in record.getMessage()


def test_uvicorn_is_not_imported_for_it() -> None:
    code = "import sys, pyfork.worker.asgi.worker; sys.exit('uvicorn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
