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
    """Call a function that blocks, and await its result."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads(os.getpid()), partial(function, *args, **kwargs))
