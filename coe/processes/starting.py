"""The start of a process: it waits for what it needs, and takes no keys of another installation."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from coe.db import why_unreachable
from coe.errors import CoeError, Unavailable
from coe.installation.keys import KeysRefused, compare_keys
from coe.work import Platform

CONNECT_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Before further attempts, in seconds; the last one repeats."""

_log = logging.getLogger(__name__)


async def database_is_ours(platform: Platform) -> None:
    """Require that the database answers, and has nothing of other keys.

    Raises:
        Unavailable: It does not answer.
        KeysRefused: Keys are missing, or those of another installation.
    """
    try:
        async with platform.database.session() as session:
            await session.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable(f"the database does not answer ({why_unreachable(error)})") from None
    await compare_keys(platform.settings)


async def until_it_is(
    attempt: Callable[[], Awaitable[None]], name: str, stop: asyncio.Event
) -> bool:
    """Try until it succeeds (true) or the process is to stop (false); log once that it waits.

    Raises:
        KeysRefused: Nothing but the operator mends that.
    """
    failures = 0
    while not stop.is_set():
        try:
            await attempt()
        except KeysRefused:
            raise
        except CoeError as error:
            if failures == 0:
                _log.warning("waiting for %s: %s", name, error.message)
            pause = CONNECT_PAUSES[min(failures, len(CONNECT_PAUSES) - 1)]
            failures += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
        else:
            return True
    return False
