"""The one statement by which a group of appends is written, and what it is given.

It is one statement, so that it is one round trip and, outside a transaction, one commit; asyncpg
keeps it prepared. Every group of arguments is a set of arrays of equal length, one element a row;
`batch` is the number (from 1) of the append that a row belongs to.

The rows of `runs` are moved forward first, each under its fence and its position; of an append
that matches no row nothing is kept. The result has the numbers of those that were, as `batch`.

An append may hold the plain end of its run: a run that completed, that nobody called, and that
leaves no open task behind. Then the row takes its last state, what is left of timers and inbox
goes, and the event is recorded. Other ends are changes of the append (`coe.runs.endings.close`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final

Row = dict[str, Any]
Numbered = tuple[int, Row]

APPEND: Final = """
WITH moved AS (
    UPDATE runs SET
        journal_length = runs.journal_length + given.count,
        state = coalesce(given.state, runs.state),
        ended_at = coalesce(given.ended_at, runs.ended_at),
        output_sealed = coalesce(given.output, runs.output_sealed),
        holder = CASE WHEN given.state IS NULL THEN runs.holder END,
        lease_until = CASE WHEN given.state IS NULL THEN runs.lease_until END,
        error_type = CASE WHEN given.state IS NULL THEN runs.error_type END,
        error_status = CASE WHEN given.state IS NULL THEN runs.error_status END,
        error_instance = CASE WHEN given.state IS NULL THEN runs.error_instance END,
        error_sealed = CASE WHEN given.state IS NULL THEN runs.error_sealed END
    FROM unnest(
        $1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[],
        $30::text[], $31::timestamptz[], $32::bytea[]
    ) WITH ORDINALITY AS given (id, fence, position, count, state, ended_at, output, batch)
    WHERE runs.id = given.id AND runs.fence = given.fence
        AND runs.journal_length = given.position AND runs.holder IS NOT NULL
    RETURNING runs.id, runs.fence, given.batch, given.state IS NOT NULL AS ended
), written AS (
    INSERT INTO journal_entries (run_id, position, fence, kind, key, at, payload_sealed)
    SELECT moved.id, given.position, moved.fence, given.kind, given.key, given.at, given.payload
    FROM unnest($5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::timestamptz[], $10::bytea[])
        AS given (batch, position, kind, key, at, payload)
    JOIN moved ON moved.batch = given.batch
), consumed AS (
    DELETE FROM run_inbox USING unnest($11::bigint[], $12::uuid[]) AS given (batch, id), moved
    WHERE run_inbox.id = given.id AND moved.batch = given.batch AND NOT moved.ended
), left_in_inbox AS (
    DELETE FROM run_inbox USING moved WHERE run_inbox.run_id = moved.id AND moved.ended
), left_armed AS (
    DELETE FROM timers USING moved WHERE timers.run_id = moved.id AND moved.ended
), recorded AS (
    INSERT INTO audit_events (
        id, at, actor, actor_kind, action, resource, team, outcome, correlation_id
    )
    SELECT given.id, at, actor, actor_kind, action, resource, team, outcome, correlation_id
    FROM unnest(
        $33::bigint[], $34::uuid[], $35::timestamptz[], $36::text[], $37::text[], $38::text[],
        $39::text[], $40::text[], $41::text[], $42::text[]
    ) AS given (
        batch, id, at, actor, actor_kind, action, resource, team, outcome, correlation_id
    )
    JOIN moved ON moved.batch = given.batch
), told AS (
    INSERT INTO run_steps (
        run_id, fence, id, key, place, path, name, kind, state, attempt, iteration, started_at,
        ended_at, changed_at, error_type, error_status, error_instance, error_sealed, waited_seconds
    )
    SELECT moved.id, moved.fence, given.id, key, place, path, name, kind, state, attempt, iteration,
        started_at, ended_at, changed_at, error_type, error_status, error_instance, error_sealed, 0
    FROM unnest(
        $13::bigint[], $14::uuid[], $15::text[], $16::bigint[], $17::text[], $18::text[],
        $19::text[], $20::text[], $21::integer[], $22::text[], $23::timestamptz[],
        $24::timestamptz[], $25::timestamptz[], $26::text[], $27::integer[], $28::text[],
        $29::bytea[]
    ) AS given (
        batch, id, key, place, path, name, kind, state, attempt, iteration, started_at,
        ended_at, changed_at, error_type, error_status, error_instance, error_sealed
    )
    JOIN moved ON moved.batch = given.batch
    ON CONFLICT (run_id, key) DO UPDATE SET
        state = excluded.state,
        attempt = excluded.attempt,
        iteration = excluded.iteration,
        ended_at = excluded.ended_at,
        error_type = excluded.error_type,
        error_status = excluded.error_status,
        error_instance = excluded.error_instance,
        error_sealed = excluded.error_sealed,
        fence = excluded.fence,
        changed_at = CASE WHEN run_steps.state = excluded.state
            THEN run_steps.changed_at ELSE excluded.changed_at END,
        waited_seconds = run_steps.waited_seconds
            + CASE WHEN run_steps.state = 'WAITING' AND excluded.state <> 'WAITING'
                THEN extract(epoch FROM excluded.changed_at - run_steps.changed_at) ELSE 0 END
)
SELECT batch FROM moved
"""

ENTRY: Final = ("position", "kind", "key", "at", "payload_sealed")
"""Of an entry, after its batch: $6 to $10."""

STEP: Final = (
    *("id", "key", "place", "path", "name", "kind", "state", "attempt", "iteration"),
    *("started_at", "ended_at", "changed_at"),
    *("error_type", "error_status", "error_instance", "error_sealed"),
)
"""Of a step, after its batch: $14 to $29. The names of columns, each text one of `StepState`."""


END: Final = ("state", "ended_at", "output_sealed")
"""Of each append, null where its run goes on: $30 to $32."""

EVENT: Final = (
    *("id", "at", "actor", "actor_kind", "action", "resource", "team", "outcome"),
    "correlation_id",
)
"""Of the event of a plain end, after its batch: $34 to $42."""


def arguments(
    runs: Sequence[tuple[Any, int, int, int]],
    entries: Iterable[Numbered],
    consumed: Iterable[tuple[int, Any]],
    steps: Iterable[Numbered],
    *,
    ends: Sequence[Row | None],
    events: Iterable[Numbered],
) -> list[list[Any]]:
    """The arguments of `APPEND`: of each append its run, fence, position and count, then rows.

    `ends` has for each append the columns of its run's end, or None.
    """
    return [
        *_columns(runs, 4),
        *_columns([(batch, *_entry(row)) for batch, row in entries], 1 + len(ENTRY)),
        *_columns(consumed, 2),
        *_columns([(batch, *_step(row)) for batch, row in steps], 1 + len(STEP)),
        *_columns([_end(row) if row else _GOES_ON for row in ends], len(END)),
        *_columns([(batch, *_event(row)) for batch, row in events], 1 + len(EVENT)),
    ]


_entry = itemgetter(*ENTRY)
_step = itemgetter(*STEP)
_end = itemgetter(*END)
_event = itemgetter(*EVENT)
_GOES_ON: Final = (None,) * len(END)


def _columns(rows: Iterable[tuple[Any, ...]], number: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(number)]
