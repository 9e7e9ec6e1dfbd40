"""The stacks of this process, as plain data for an operator: all threads, all asyncio tasks."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import CodeType, FrameType
from typing import Any

MAX_FRAMES = 50  # of one stack, the innermost
MAX_TASKS = 200
MAX_BYTES = 256 << 10  # of a report, as JSON

Serves = Callable[[FrameType], dict[str, Any] | None]
"""What the code of a frame serves: method, target and age in seconds; None: no request."""


def report(
    loops: Iterable[asyncio.AbstractEventLoop], serves: Serves, *, below: CodeType | None
) -> dict[str, Any]:
    """The stacks, innermost frame first. Tasks that serve a request come first, the oldest first.

    Args:
        below: of this thread only the frames are shown that called this code; None: none.
        loops: those whose tasks are reported.
        serves: is called with the frames of a stack, from the innermost, until one serves.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = {ident: _callers(frame) for ident, frame in sys._current_frames().items()}
    own = stacks.pop(threading.get_ident())
    if below is not None:
        for frame in own:
            if frame.f_code is below:
                break
        stacks = {threading.get_ident(): own, **stacks}
    threads = [
        {"name": names.get(ident, ""), "ident": ident, **_described(frames, serves)}
        for ident, frames in stacks.items()
    ]
    tasks = [
        {"name": task.get_name(), **_described(_awaited(task), serves)}
        for loop in loops
        for task in asyncio.all_tasks(loop)
    ]
    tasks.sort(key=lambda each: each["serves"]["age"] if each["serves"] else -1.0, reverse=True)
    return _bounded(threads, tasks)


def running_loops() -> set[asyncio.AbstractEventLoop]:
    """The loops that asyncio itself runs in any thread of this process."""
    if "asyncio.runners" not in sys.modules:
        return set()
    codes = {asyncio.Runner.run.__code__, asyncio.BaseEventLoop.run_forever.__code__}
    found = set()
    for innermost in sys._current_frames().values():
        for frame in _callers(innermost):
            if frame.f_code in codes:
                owner = frame.f_locals.get("self")
                found.add(owner.get_loop() if isinstance(owner, asyncio.Runner) else owner)
    return {loop for loop in found if loop is not None}


def _bounded(threads: list[dict[str, Any]], tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """As many as fit into a message."""
    kept = MAX_TASKS
    while True:
        whole = {"threads": threads, "tasks": tasks[:kept], "more_tasks": max(0, len(tasks) - kept)}
        if len(json.dumps(whole)) <= MAX_BYTES or not kept:
            return whole
        kept //= 2


def _described(frames: Iterable[FrameType], serves: Serves) -> dict[str, Any]:
    frames = list(frames)
    served = next((found for frame in frames if (found := serves(frame))), None)
    return {"serves": served, "stack": [_place(frame) for frame in islice(frames, MAX_FRAMES)]}


def _place(frame: FrameType) -> dict[str, Any]:
    code = frame.f_code
    return {"file": code.co_filename, "line": frame.f_lineno, "function": code.co_qualname}


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _awaited(task: "asyncio.Task[Any]") -> list[FrameType]:
    """The frames of a task, from what its coroutine waits for in the end."""
    frames: list[FrameType] = []
    waits: Any = task.get_coro()
    while (
        frame := getattr(waits, "cr_frame", None)
        or getattr(waits, "gi_frame", None)
        or getattr(waits, "ag_frame", None)
    ) is not None:
        frames.append(frame)
        waits = (
            getattr(waits, "cr_await", None)
            or getattr(waits, "gi_yieldfrom", None)
            or getattr(waits, "ag_await", None)
        )
    return frames[::-1]
