"""The end of a process: the first signal asks it to end in order, the second ends it at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def _end_at_once(number: int, _: object) -> None:
    os._exit(128 + number)


@contextmanager
def on_first_signal(begin: Callable[[], object]) -> Iterator[None]:
    """Call `begin` in the running loop at the first SIGTERM or SIGINT within the context.

    From then on either signal ends the process at once. Call this in the main thread.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def first() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            # The kernel ignores the default action of the first process of a container.
            signal.signal(number, signal.SIG_DFL if os.getpid() != 1 else _end_at_once)
        begin()

    for number in SIGNALS:
        loop.add_signal_handler(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
