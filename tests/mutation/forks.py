"""Trying mutants, each in a process of its own that is killed when it takes too long."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

# Seconds of processor for one mutant: a whole pass takes about four. Load changes nothing of that;
# only one that waits for ever is ended by the clock.
PROCESSOR = 20
LONGEST = 600.0
MEMORY = 4 * 1024**3

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: killed by a check (or by its time), or alive."""

    alive: bool
    by: str


def try_each(
    items: Sequence[ItemT], attempt: Callable[[ItemT], str | None], at_once: int
) -> Iterator[tuple[ItemT, Verdict]]:
    """Each item with what `attempt` said of it (None: alive), in a fork of this process."""
    waiting = list(reversed(items))
    running: dict[int, tuple[int, ItemT, float]] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            item = waiting.pop()
            child, pipe = _fork(item, attempt)
            running[pipe] = (child, item, time.monotonic() + LONGEST)
        ready, _, _ = select.select(list(running), [], [], 0.2)
        for pipe in list(running):
            child, item, deadline = running[pipe]
            if pipe not in ready:
                if time.monotonic() < deadline:
                    continue
                os.kill(child, signal.SIGKILL)
            told = os.read(pipe, 4096)
            del running[pipe]
            os.close(pipe)
            os.waitpid(child, 0)
            yield item, _verdict(told)


def _verdict(told: bytes) -> Verdict:
    if told == b"alive":
        return Verdict(alive=True, by="")
    return Verdict(alive=False, by=told.decode(errors="replace") or "time or memory")


def _fork(item: ItemT, attempt: Callable[[ItemT], str | None]) -> tuple[int, int]:
    ours, theirs = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        return child, ours
    try:
        os.close(ours)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR, PROCESSOR))
        killer = attempt(item)
        os.write(theirs, b"alive" if killer is None else killer.encode()[:4096])
    finally:
        os._exit(0)
