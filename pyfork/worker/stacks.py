"""The answer of a worker to `ReportStacks`. It is imported when the first one comes."""

import asyncio
from types import CodeType, FrameType
from typing import Any

from pyfork.child import stack_report
from pyfork.http.connection.exchange import Exchange


def report(loop: asyncio.AbstractEventLoop, below: CodeType) -> dict[str, Any]:
    """The stacks of this worker, each with the request that it serves.

    ``below`` is the code that the loop has called: what it has called shows this answer only.
    """
    return stack_report.report([loop], serves, below=below)


def serves(frame: FrameType) -> dict[str, Any] | None:
    """The request of an exchange, if the code of the frame is a method of it."""
    found = frame.f_locals
    owner = found.get("self", found.get("call"))  # a method, or the call of an ASGI application
    if not isinstance(owner, Exchange):
        return None
    return {"method": owner.method, "target": owner.target, "age": round(owner.elapsed, 3)}
