"""Reading the body of a request: how large it may be, and how long it may take."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request

from coe.errors import TooCostly

BODY_SECONDS: Final = 20.0
"""Within this time the whole body has to arrive; 2 MiB do so at 1 Mbit/s."""
FRESH_SECONDS: Final = 1.0
"""How long after it was found the sender counts as the one of now."""


class BodyTooSlow(TooCostly):
    """The body of the request did not arrive in time; send it again, without a pause."""

    status = 408


async def read_bounded(request: Request, most: int) -> bytes:
    """Read the body; what is beyond a bound is not read.

    Raises:
        TooCostly: It is larger than `most` bytes.
        BodyTooSlow: It has not arrived after `BODY_SECONDS`.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    message = f"The request is larger than {most} bytes."
                    raise TooCostly(message, limit="body", most=most)
                chunks.append(chunk)
    except TimeoutError:
        raise BodyTooSlow(limit="body_seconds", most=int(BODY_SECONDS)) from None
    return b"".join(chunks)
