"""The MCP SDK's streamable HTTP server with its own client."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.realworld.proof import Subject, prove_life
from tests.end_to_end.realworld.reference import UVICORN
from tests.end_to_end.realworld.visit import Seen, Visitor

pytestmark = pytest.mark.soak

mcp = pytest.importorskip("mcp")

APP = "tests.end_to_end.realworld.apps.tools:app"


def visit(visitor: Visitor) -> Iterator[Seen]:
    """Tools, one with progress and one that fails, and a resource."""
    yield from asyncio.run(use(visitor))


async def use(visitor: Visitor) -> list[Seen]:
    """What the client sees."""
    seen = []
    progress: list[float] = []

    async def reported(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    async with mcp.Client(f"{visitor.url}/mcp") as client:
        tools = await client.list_tools()
        seen.append(Seen("tools", body=str([tool.name for tool in tools.tools])))
        for name, arguments in (("add", {"a": 2, "b": 3}), ("count", {"to": 5}), ("fail", {})):
            result = await client.call_tool(name, arguments, progress_callback=reported)
            seen.append(Seen(name, int(result.is_error), str(result.content)))
        seen.append(Seen("progress", body=str(progress)))
        greeting = await client.read_resource(f"greeting://{visitor.name}")
        seen.append(Seen("resource", body=str(greeting.contents).replace(visitor.name, "NAME")))
    return seen


def test_no_client_notices_a_reload_or_a_stop(tmp_path: Path) -> None:
    subject = Subject(APP, (*UVICORN, APP), visit, errors=True, keeps=True)
    prove_life(subject, "asgi", tmp_path)
