"""The statements that write a group of appends, and their arguments.

A group is one statement, so it takes one round trip and, outside a transaction, one commit; asyncpg
keeps it prepared. The arguments are arrays of equal length, one element a row; `batch` is the
number (from 1) of the append that a row belongs to.

The rows of `runs` are moved forward first, each under its fence and its position; nothing is kept
of an append that matches no row. The result has the numbers of the appends that were kept.

Most groups hold facts only. A statement has only those of these `Part`s that its group needs, for
each costs PostgreSQL time even where it has no rows:

- `TAKES`: take a run that has no journal and no holder: its fence grows by one with its first
  facts, as in `coe.runs.leases.ACQUIRE`.
- `PROJECTS`: insert or update steps, and set `runs.steps_told`.
- `CONSUMES`: delete the inbox rows whose facts are in the entries.
- `ENDS`: the plain end of a run that completed, that no run called, and that has no open task. The
  row takes its last state, its timers and inbox rows are deleted, and the event is recorded. Other
  ends are changes of the append (`coe.runs.completion.close`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from functools import cache
from itertools import count
from operator import itemgetter
from typing import Any, Final

Row = dict[str, Any]
Numbered = tuple[int, Row]


class Part(Flag):
    """What an append, or a group of them, has besides facts."""

    TAKES = auto()
    PROJECTS = auto()
    CONSUMES = auto()
    ENDS = auto()


NOTHING_MORE: Final = Part(0)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The names and types of the columns of arguments that are read as rows."""

    names: tuple[str, ...]
    types: tuple[str, ...]


def _columns_of(**types: str) -> _Columns:
    return _Columns(tuple(types), tuple(types.values()))


_RUN: Final = _columns_of(id="uuid", fence="bigint", position="bigint", count="bigint")
_RUN_PARTS: Final = {
    Part.TAKES: _columns_of(holder="text", seconds="double precision"),
    Part.PROJECTS: _columns_of(projected="bigint"),
    Part.ENDS: _columns_of(
        state="text",
        ended_at="timestamptz",
        output_sealed="bytea",
        waits="jsonb",
        held_seconds="double precision",
    ),
}
_ENTRY: Final = _columns_of(
    position="bigint", kind="text", key="text", at="timestamptz", payload_sealed="bytea"
)
_STEP: Final = _columns_of(
    id="uuid",
    key="text",
    place="bigint",
    path="text",
    name="text",
    kind="text",
    state="text",
    attempt="integer",
    iteration="text",
    started_at="timestamptz",
    ended_at="timestamptz",
    changed_at="timestamptz",
    parent_key="text",
    phase="text",
    waited_seconds="double precision",
    held_seconds="double precision",
    waits="jsonb",
    error_type="text",
    error_status="integer",
    error_instance="text",
    error_title="text",
    error_sealed="bytea",
    unmatched="integer",
    unmatched_at="text",
)
_EVENT: Final = _columns_of(
    id="uuid",
    at="timestamptz",
    actor="text",
    actor_kind="text",
    action="text",
    resource="text",
    team="text",
    outcome="text",
    correlation_id="text",
    written_at="timestamptz",
    mac="bytea",
)
ENTRY: Final = _ENTRY.names
STEP: Final = _STEP.names
EVENT: Final = _EVENT.names
END: Final = _RUN_PARTS[Part.ENDS].names
TAKING: Final = _RUN_PARTS[Part.TAKES].names

_CONFLICT: Final = """
ON CONFLICT (run_id, key) DO UPDATE SET
    state = excluded.state,
    attempt = excluded.attempt,
    iteration = excluded.iteration,
    ended_at = excluded.ended_at,
    error_type = excluded.error_type,
    error_status = excluded.error_status,
    error_instance = excluded.error_instance,
    error_title = excluded.error_title,
    error_sealed = excluded.error_sealed,
    unmatched = excluded.unmatched,
    unmatched_at = excluded.unmatched_at,
    fence = excluded.fence,
    changed_at = excluded.changed_at,
    phase = excluded.phase,
    waited_seconds = excluded.waited_seconds,
    held_seconds = excluded.held_seconds,
    waits = excluded.waits
"""
_HELD: Final = "runs.fence = given.fence AND runs.holder IS NOT NULL"
_FREE: Final = """
runs.fence = given.fence - 1 AND NOT runs.local
    AND runs.state NOT IN ('COMPLETED', 'FAULTED', 'CANCELLED')
    AND (runs.holder IS NULL OR runs.lease_until < clock_timestamp())
"""
_ERROR: Final = ("error_type", "error_status", "error_instance", "error_title", "error_sealed")


@cache
def statement(parts: Part) -> str:
    """The statement for groups whose appends have these parts; `arguments` are for it."""
    number = count(1)
    runs = _given([_RUN, *_of_runs(parts)], number, "WITH ORDINALITY")
    entries = _given([_columns_of(batch="bigint"), _ENTRY], number)
    places = ", ".join(f"given.{name}" for name in ENTRY)
    ctes = [
        _moved(parts, runs),
        f"""written AS (
            INSERT INTO journal_entries (run_id, fence, {", ".join(ENTRY)})
            SELECT moved.id, moved.fence, {places}
            FROM {entries} JOIN moved ON moved.batch = given.batch)""",  # noqa: S608  # made of constants
    ]
    if Part.PROJECTS in parts:
        steps = _given([_columns_of(batch="bigint"), _STEP], number)
        names = ", ".join(f"given.{name}" for name in STEP)
        ctes.append(f"""projected AS (
            INSERT INTO run_steps (run_id, fence, {", ".join(STEP)})
            SELECT moved.id, moved.fence, {names}
            FROM {steps} JOIN moved ON moved.batch = given.batch {_CONFLICT})""")  # noqa: S608  # the same
    if Part.CONSUMES in parts:
        taken = _given([_columns_of(batch="bigint", id="uuid")], number)
        ctes.append(f"""consumed AS (
            DELETE FROM run_inbox USING {taken}, moved
            WHERE run_inbox.id = given.id AND moved.batch = given.batch AND NOT moved.ended)""")  # noqa: S608  # the same
    if Part.ENDS in parts:
        events = _given([_columns_of(batch="bigint"), _EVENT], number)
        names = ", ".join(f"given.{name}" for name in EVENT)
        ctes.append(f"""left_in_inbox AS (
            DELETE FROM run_inbox USING moved WHERE run_inbox.run_id = moved.id AND moved.ended
        ), left_timers AS (
            DELETE FROM timers USING moved WHERE timers.run_id = moved.id AND moved.ended
        ), recorded AS (
            INSERT INTO audit_events ({", ".join(EVENT)}) SELECT {names}
            FROM {events} JOIN moved ON moved.batch = given.batch)""")  # noqa: S608  # the same
    return f"WITH {', '.join(ctes)} SELECT batch FROM moved"  # noqa: S608  # the same


def _moved(parts: Part, given: str) -> str:
    """Move the runs forward; take those to be taken, end those to be ended."""
    takes, ends = Part.TAKES in parts, Part.ENDS in parts
    changes = {"journal_length": "runs.journal_length + given.count"}
    state, holder, lease = "runs.state", "runs.holder", "runs.lease_until"
    if Part.PROJECTS in parts:
        changes["steps_told"] = "coalesce(given.projected, runs.steps_told)"
    if takes:
        until = "clock_timestamp() + make_interval(secs => given.seconds)"
        changes["fence"] = "given.fence"
        changes["started_at"] = (
            "CASE WHEN given.holder IS NULL THEN runs.started_at"
            " ELSE coalesce(runs.started_at, clock_timestamp()) END"
        )
        state = f"CASE WHEN given.holder IS NULL THEN {state} ELSE 'RUNNING' END"
        lease = f"CASE WHEN given.holder IS NULL THEN {lease} ELSE {until} END"
        holder = f"coalesce(given.holder, {holder})"
    if ends:
        not_ended = "given.state IS NULL"
        state = f"coalesce(given.state, {state})"
        lease = f"CASE WHEN {not_ended} THEN {lease} END"
        holder = f"CASE WHEN {not_ended} THEN {holder} END"
        changes |= {name: f"CASE WHEN {not_ended} THEN runs.{name} END" for name in _ERROR}
        for name in ("ended_at", "output_sealed", "waits", "held_seconds"):
            changes[name] = f"coalesce(given.{name}, runs.{name})"
    if takes or ends:
        changes |= {"state": state, "holder": holder, "lease_until": lease}
    mine = f"CASE WHEN given.holder IS NULL THEN {_HELD} ELSE {_FREE} END" if takes else _HELD
    sets = ", ".join(f"{name} = {value}" for name, value in changes.items())
    ended = "given.state IS NOT NULL" if ends else "false"
    return f"""moved AS (
        UPDATE runs SET {sets} FROM {given}
        WHERE runs.id = given.id AND runs.journal_length = given.position AND {mine}
        RETURNING runs.id, runs.fence, given.batch, {ended} AS ended)"""  # noqa: S608  # the same


def _of_runs(parts: Part) -> list[_Columns]:
    return [columns for part, columns in _RUN_PARTS.items() if part in parts]


def _given(columns: Iterable[_Columns], number: count[int], ordinality: str = "") -> str:
    """Arrays of arguments as the rows of a table `given`."""
    found = list(columns)
    arrays = ", ".join(f"${next(number)}::{kind}[]" for each in found for kind in each.types)
    names = [name for each in found for name in each.names]
    if ordinality:
        names.append("batch")
    return f"unnest({arrays}) {ordinality} AS given ({', '.join(names)})"


@dataclass(slots=True)
class Group:
    """The rows of a group of appends, by the kind of row: each with the number of its append.

    `runs` has for each append its run, fence, position and count of entries; `takings` the new
    holder and the seconds of its lease, or None; `projected` the position up to which its steps are
    written, or None; `ends` the columns of its end, or None.
    """

    runs: Sequence[tuple[Any, int, int, int]]
    entries: Iterable[Numbered]
    takings: Sequence[tuple[str, float] | None] = ()
    projected: Sequence[int | None] = ()
    steps: Iterable[Numbered] = ()
    consumed: Iterable[tuple[int, Any]] = ()
    ends: Sequence[Row | None] = ()
    events: Iterable[Numbered] = ()

    def arguments(self, parts: Part) -> list[list[Any]]:
        """The arguments of `statement(parts)`."""
        given = _columns(self.runs, 4)
        if Part.TAKES in parts:
            given += _columns([each or (None, None) for each in self.takings], len(TAKING))
        if Part.PROJECTS in parts:
            given.append(list(self.projected))
        if Part.ENDS in parts:
            given += _columns([_end(each) if each else _NO_END for each in self.ends], len(END))
        given += _rows(self.entries, _entry, len(ENTRY))
        if Part.PROJECTS in parts:
            given += _rows(self.steps, _step, len(STEP))
        if Part.CONSUMES in parts:
            given += _columns(self.consumed, 2)
        if Part.ENDS in parts:
            given += _rows(self.events, _event, len(EVENT))
        return given


_entry = itemgetter(*ENTRY)
_step = itemgetter(*STEP)
_end = itemgetter(*END)
_event = itemgetter(*EVENT)
_NO_END: Final = (None,) * len(END)


def _rows(rows: Iterable[Numbered], values: Any, number: int) -> list[list[Any]]:
    return _columns([(batch, *values(row)) for batch, row in rows], 1 + number)


def _columns(rows: Iterable[tuple[Any, ...]], number: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(number)]
