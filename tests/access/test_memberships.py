"""Memberships: many are read without an object for each, and answer what they are asked."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import orjson

from coe.access.memberships import Memberships
from coe.access.records import read_teams

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
END = "2026-12-01T10:00:00+00:00"


def text(*rows: tuple[str, list[str], str | None, dict[str, str]]) -> str:
    """The signed text of the team `sales`."""
    lines = [[subject, "sales", roles, end, more] for subject, roles, end, more in rows]
    return orjson.dumps(lines).decode()


def tracked(people: int) -> int:
    """How many objects the garbage collector has to go through for so many memberships."""
    stored = text(*((f"p-{each}", ["developer"], None, {}) for each in range(people)))
    gc.collect()
    before = len(gc.get_objects())
    kept = Memberships(tuple(read_teams([("sales", stored)])), NOW)
    gc.collect()
    count = len(gc.get_objects()) - before
    assert kept.holds("p-0", "sales/developer")
    return count


def test_a_thousand_memberships_are_no_more_objects_than_ten() -> None:
    assert tracked(1_000) <= tracked(10) + 10


def test_what_ends_is_beside_what_lasts_and_the_inactive_are_left_out() -> None:
    stored = text(
        ("anna", ["developer", "operator"], None, {}),
        ("bo", ["lead"], END, {}),
        ("cy", ["lead"], None, {"operator": END, "": END}),
        ("Dan", ["lead"], None, {}),
        ("ed", ["lead"], "2026-12-01T08:00:00+00:00", {"operator": END}),
    )
    other = orjson.dumps([["anna", "finance", ["lead"], None, {}]]).decode()
    teams = read_teams([("sales", stored), ("finance", other)], {"dan"})
    found = Memberships(tuple(teams), NOW)
    assert found.until == datetime(2026, 12, 1, 10, tzinfo=UTC)
    assert set(found) == {"anna", "bo", "cy", "ed"}
    assert found.teams("anna") == {"sales", "finance"} == found.all_teams()
    assert found.roles("cy") == {("lead", "sales"), ("operator", "sales")}
    assert found.roles("ed") == {("operator", "sales")}
    assert found.holders("sales/lead") == {"bo", "cy"}
    assert found.holders("*/lead") == {"anna", "bo", "cy"}
    assert found.holders("nowhere/lead") == found.holders("sales/") == frozenset()
    assert found.holds("anna", "*/lead")
    assert not found.holds("anna", "sales/lead")
    assert not found.has_role("stranger", "lead", "sales")
