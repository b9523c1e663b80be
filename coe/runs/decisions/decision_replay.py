"""Past cases on another version of a decision table: which outcomes would change.

Nothing is changed, and no rule fires in a run. One call replays a part of the cases, the oldest
first. It returns those whose outcome changes, and records that their data was read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select

from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.decision_tables.documents import decision_contents
from coe.catalog.models import EntryKind
from coe.catalog.queries import find_version
from coe.catalog.records import VersionRecord
from coe.catalog.refs import require_ref
from coe.decisions.table import DecisionTable
from coe.errors import Invalid, NotFound, Problem
from coe.formats import instants
from coe.json_types import JSON
from coe.runs import disclosure
from coe.runs.computed import decided
from coe.runs.decisions import decision_cases as cases
from coe.runs.decisions.decision_cases import CaseData, CaseFilter, CaseRecord
from coe.runs.tables import CASES, RUNS
from coe.runs.visibility import readable_runs
from coe.work import Work

MAX_CASES: Final = 1_000
"""Cases that one call replays."""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Which version, and which past cases of its table; `cursor` continues after a case."""

    ref: str
    after: datetime | None = None
    before: datetime | None = None
    flows: tuple[str, ...] = ()
    first: int = 200
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision of a table on a case: outputs by name and fired rules, or why it fails."""

    output: JSON = field(repr=False)
    rules: tuple[str, ...]
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class ChangedCase:
    """A case whose outcome changes, or (`same_outcome`) that other rules decide the same way."""

    row: CaseRecord
    input: JSON = field(repr=False)
    before: Outcome
    after: Outcome
    same_outcome: bool


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result for a part of the cases.

    `same`, `other_rules`, `changed` and `failed` count the cases of this part: a case fails where
    the version has no answer to it and the one that decided had. `total` is over all parts.
    `hidden` counts the cases whose data the actor may not read; None for an actor who does not work
    on the table.
    """

    version: VersionRecord
    items: tuple[ChangedCase, ...]
    same: int
    other_rules: int
    changed: int
    failed: int
    total: int
    end_cursor: str | None
    has_next: bool
    continued: bool
    hidden: int | None


async def replay_cases(work: Work, request: ReplayRequest) -> Replayed:
    """Replay past cases on a version of their table; record it, and whose data was read.

    The cases are those whose data the actor may read (`run:read_data`).

    Raises:
        Invalid: The ref has no exact version, `first` or the cursor is not as it should be.
        NotFound: There is no such version, or the actor may not read it.
    """
    if not 1 <= request.first <= MAX_CASES:
        message = f"`first` is between 1 and {MAX_CASES}, not {request.first}"
        raise Invalid([Problem("INPUT_PAGE_SIZE", message, path="/first")])
    version, table = await _table(work, request.ref)
    rows, total, every = await _rows(work, request, version)
    found = rows[: request.first]
    opened = [(row, await cases.open_case(work, row)) for row in found]
    decisions = await work.compute(decided, table, [data.input for _, data in opened])
    judged = _judge(opened, [Outcome(*each) for each in decisions])
    changed = {item.row.id for item in judged}
    await cases.record_readings(work, [row for row in found if row.id in changed])
    other_rules = sum(item.same_outcome for item in judged)
    failed = sum(not item.same_outcome and item.after.failure is not None for item in judged)
    result = Replayed(
        version=version,
        items=tuple(judged),
        same=len(found) - len(judged),
        other_rules=other_rules,
        changed=len(judged) - other_rules - failed,
        failed=failed,
        total=total,
        end_cursor=cases.cursor(cases.CASE_COLUMNS.record(found[-1])) if found else None,
        has_next=len(rows) > request.first,
        continued=request.cursor is not None,
        hidden=every - total if _works_on(work, version) else None,
    )
    await _record(work, request, result)
    return result


async def _table(work: Work, ref: str) -> tuple[VersionRecord, DecisionTable]:
    require_ref(ref, exact=True)
    version = await find_version(work, ref, EntryKind.DECISION)
    if version is None:
        raise NotFound
    contents = await decision_contents(work, [version.id], handed_out=False)
    if version.id not in contents:
        raise NotFound
    return version, contents[version.id].table


async def _rows(
    work: Work, request: ReplayRequest, version: VersionRecord
) -> tuple[Sequence[Any], int, int]:
    """A part of the cases and one more, with sealed data; how many are readable, how many exist."""
    wanted = CaseFilter(
        decision=version.entry_ref,
        after=request.after,
        before=request.before,
        flows=request.flows,
    )
    asked = cases.asked(wanted)
    which = [*asked, readable_runs(work), readable_runs(work, Permission.RUN_READ_DATA)]
    query = (
        select(*cases.CASE_COLUMNS, CASES.c.case_sealed, *disclosure.reading_columns(work))
        .join(RUNS, RUNS.c.id == CASES.c.run_id)
        .where(*which, *cases.beyond(request.cursor))
        .order_by(CASES.c.at, CASES.c.id)
        .limit(request.first + 1)
    )
    rows = (await work.session.execute(query)).all()
    counted = select(func.count()).select_from(CASES).join(RUNS, RUNS.c.id == CASES.c.run_id)
    total = await work.session.scalar(counted.where(*which)) or 0
    every = await work.session.scalar(select(func.count()).select_from(CASES).where(*asked)) or 0
    return rows, total, every


def _works_on(work: Work, version: VersionRecord) -> bool:
    """Whether the actor writes versions of the table, and so may know how often it decides."""
    permission, data_class = Permission.DECISION_REGISTER, version.data_class
    return work.decide(permission, team=version.team, data_class=data_class).allowed


def _judge(
    opened: Sequence[tuple[Any, CaseData]], outcomes: Sequence[Outcome]
) -> list[ChangedCase]:
    """The cases whose outcome changes, or that other rules decide."""
    changed = []
    for (row, data), after in zip(opened, outcomes, strict=True):
        before = Outcome(data.output, tuple(row.rules), _failure(data.error))
        still = (before.failure is None) is (after.failure is None)
        same_outcome = still and _same(before.output, after.output)
        if not same_outcome or before.rules != after.rules:
            case = cases.CASE_COLUMNS.record(row)
            changed.append(ChangedCase(case, data.input, before, after, same_outcome))
    return changed


def _failure(error: JSON) -> str | None:
    """The message of a decision's fault."""
    if not isinstance(error, dict):
        return None
    return str(error.get("detail") or error.get("title") or "it failed")


def _same(one: JSON, other: JSON) -> bool:
    """Equal as JSON: `1` is not `true`, and the order of names does not matter."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


async def _record(work: Work, request: ReplayRequest, result: Replayed) -> None:
    version = result.version
    decision = work.decide(Permission.ENTRY_READ, team=version.team, data_class=version.data_class)
    await work.record(
        Tag.RUNS_DECISION_REPLAY,
        resource=f"decision:{version.ref}",
        team=version.team,
        decision=decision,
        detail={
            "after": instants.write(request.after) if request.after else None,
            "before": instants.write(request.before) if request.before else None,
            "flows": list(request.flows),
            "same": result.same,
            "otherRules": result.other_rules,
            "changed": result.changed,
            "failed": result.failed,
        },
    )
