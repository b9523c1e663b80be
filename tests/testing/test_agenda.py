"""The facts of a simulated run come by their time, and at one time as they were added."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coe.machine.facts import Fact, FactKind
from coe.testing.agenda import Agenda

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


def event(name: str, seconds: int = 0) -> Fact:
    at = START + timedelta(seconds=seconds)
    return Fact(FactKind.EVENT_CONSUMED, at, data={"event": {"id": name}})


def test_facts_come_by_time_and_at_one_time_in_their_order() -> None:
    agenda = Agenda()
    for each in (event("late", 5), event("one"), event("two"), event("before", -1), event("three")):
        agenda.add(each)
    came = []
    while (fact := agenda.next(None)) is not None:
        data = fact.data
        assert isinstance(data, dict)
        came.append(data["event"])
    assert [each["id"] for each in came] == ["before", "one", "two", "three", "late"]  # type: ignore[index, call-overload]


def test_what_is_dropped_does_not_come() -> None:
    agenda = Agenda()
    kept, dropped = (Fact(FactKind.TIMER_FIRED, START, key) for key in ("a", "b"))
    agenda.add(kept)
    agenda.add(dropped)
    agenda.drop("b")
    assert (agenda.next(None), agenda.next(None)) == (kept, None)
