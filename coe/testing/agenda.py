"""What is to come in a simulated run, by its time."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from datetime import datetime
from itertools import count

from coe.json_types import JSON
from coe.language.durations import parse
from coe.machine.facts import Fact


class Agenda:
    """Facts to come, by their time; those of one time in the order in which they were added."""

    def __init__(self) -> None:
        """Start with nothing to come."""
        self._heap: list[tuple[datetime, int, Fact, bool]] = []
        self._order = count()
        self._dropped: set[int] = set()
        self._of_key: dict[str, list[int]] = {}

    def add(self, fact: Fact, *, deadline: bool = False) -> None:
        """Have a fact come at its time; a `deadline` may be held back."""
        number = next(self._order)
        heapq.heappush(self._heap, (fact.at, number, fact, deadline))
        if fact.key:
            self._of_key.setdefault(fact.key, []).append(number)

    def drop(self, key: str) -> None:
        """Forget what was to come for a key."""
        self._dropped.update(self._of_key.pop(key, ()))

    def next(self, deadlines_until: datetime | None) -> Fact | None:
        """The next fact; deadlines after a time stay where they are."""
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
    """When an answer comes, and the answer itself."""
    rest = dict(stub)
    after = rest.pop("after", None)
    return (now if after is None else now + parse(after).timedelta), rest
