"""The threads of the log, which nothing else uses: sealing never waits behind other work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@cache
def _threads(_process: int) -> ThreadPoolExecutor:
    """The threads of a process: one that was forked has none of its parent's."""
    return ThreadPoolExecutor(2, thread_name_prefix="audit")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that blocks, and await its result.

    Who is cancelled meanwhile waits until it is done, with the locks held for it: a thread cannot
    be stopped.
    """
    loop = asyncio.get_running_loop()
    call = loop.run_in_executor(_threads(os.getpid()), partial(function, *args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    while not call.done():
        try:
            await asyncio.wait([call])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not call.cancelled():
            call.exception()  # it is told nobody any more
        raise cancelled
    return call.result()
