"""The agenda of a simulated run: the facts to come, by time."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from datetime import datetime
from itertools import count

from coe.json_types import JSON
from coe.language.durations import parse
from coe.machine.clock import later
from coe.machine.facts import Fact


class Agenda:
    """The facts to come, by time; facts of the same time in the order of their addition."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Fact, bool]] = []
        self._order = count()
        self._dropped: set[int] = set()
        self._of_key: dict[str, list[int]] = {}

    def add(self, fact: Fact, *, deadline: bool = False) -> None:
        """Add a fact at its time; a `deadline` may be held back."""
        number = next(self._order)
        heapq.heappush(self._heap, (fact.at, number, fact, deadline))
        if fact.key:
            self._of_key.setdefault(fact.key, []).append(number)

    def drop(self, key: str) -> None:
        """Drop the facts with a key."""
        self._dropped.update(self._of_key.pop(key, ()))

    def next(self, deadlines_until: datetime | None) -> Fact | None:
        """Take the next fact, but no deadline after a time; None if there is none."""
        held: list[tuple[datetime, int, Fact, bool]] = []
        found = None
        while self._heap and found is None:
            at, number, fact, deadline = entry = heapq.heappop(self._heap)
            if number in self._dropped:
                self._dropped.remove(number)
            elif deadline and deadlines_until is not None and at > deadlines_until:
                held.append(entry)
            else:
                found = fact
        for entry in held:
            heapq.heappush(self._heap, entry)
        return found


def delayed(stub: Mapping[str, JSON], now: datetime) -> tuple[datetime, dict[str, JSON]]:
    """The time at which an answer arrives, and the answer without its `after`."""
    rest = dict(stub)
    after = rest.pop("after", None)
    return (now if after is None else later(now, parse(after).timedelta)), rest
