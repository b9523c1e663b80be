"""Tries mutants, each in a forked process that is killed when it takes too long."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

# CPU seconds for one mutant, and for one of its checks, whatever the load: a whole pass takes about
# six, its longest check about one. The wall clock ends only mutants that wait forever.
MAX_CPU_SECONDS = 20
MAX_CPU_SECONDS_OF_A_CHECK = 5
MAX_SECONDS = 600.0
MAX_MEMORY = 4 * 1024**3

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Verdict:
    """The fate of a mutant: killed by a check (or a limit), or alive."""

    alive: bool
    by: str


def try_each(
    items: Sequence[ItemT], attempt: Callable[[ItemT], str | None], at_once: int
) -> Iterator[tuple[ItemT, Verdict]]:
    """Each item with the result of `attempt` (None: alive), run in a fork of this process."""
    waiting = list(reversed(items))
    running: dict[int, tuple[int, ItemT, float]] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            item = waiting.pop()
            child, pipe = _fork(item, attempt)
            running[pipe] = (child, item, time.monotonic() + MAX_SECONDS)
        ready, _, _ = select.select(list(running), [], [], 0.2)
        for pipe in list(running):
            child, item, deadline = running[pipe]
            if pipe not in ready:
                if time.monotonic() < deadline:
                    continue
                os.kill(child, signal.SIGKILL)
            result = os.read(pipe, 4096)
            del running[pipe]
            os.close(pipe)
            os.waitpid(child, 0)
            yield item, _verdict(result)


def begin_check() -> None:
    """Count the time of a check from now on; a mutant that takes too long for one is killed."""
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS_OF_A_CHECK)


def _verdict(result: bytes) -> Verdict:
    if result == b"alive":
        return Verdict(alive=True, by="")
    return Verdict(alive=False, by=result.decode(errors="replace") or "time or memory")


def _fork(item: ItemT, attempt: Callable[[ItemT], str | None]) -> tuple[int, int]:
    ours, theirs = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        return child, ours
    try:
        os.close(ours)
        signal.signal(signal.SIGPROF, lambda *_: os._exit(0))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
        killer = attempt(item)
        os.write(theirs, b"alive" if killer is None else killer.encode()[:4096])
    finally:
        os._exit(0)
