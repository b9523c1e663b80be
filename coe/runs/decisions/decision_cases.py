"""Cases of decisions: written with the fact that ends the leaf, read as data of their runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.permissions import Permission
from coe.catalog.refs import read_ref, require_entries
from coe.crypto.keys import Keyring
from coe.db import new_id
from coe.db.records import Columns
from coe.decisions.document import RESERVED_OUTPUTS
from coe.formats import instants, uuids
from coe.json_types import JSON
from coe.leaves.decision import DECISION_KIND, input_of, ref_of
from coe.machine.commands import RunLeaf
from coe.machine.facts import Fact, FactKind
from coe.machine.redaction import redacted
from coe.paging import Page, check_first, decode, encode
from coe.runs.disclosure import reading_columns, record_reading
from coe.runs.records import RunIdentity
from coe.runs.sealing import TeamSealer
from coe.runs.tables import CASES, RUNS
from coe.runs.visibility import readable_runs
from coe.work import Read, Work

_ENDS: Final = frozenset({FactKind.LEAF_COMPLETED, FactKind.LEAF_FAULTED})


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """A case without its data; `decision` and `flow` are refs without a version."""

    id: UUID
    run_id: UUID
    path: str
    decision: str
    version: str
    flow: str
    at: datetime
    rules: tuple[str, ...]
    failed: bool


CASE_COLUMNS: Final = Columns(CaseRecord, CASES)


@dataclass(frozen=True, slots=True)
class CaseData:
    """The input of a case, and its outputs by name or its error."""

    input: JSON
    output: JSON
    error: JSON


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases: of which table and version, decided when, in runs of which flows."""

    decision: str
    version: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    flows: tuple[str, ...] = ()


# ---------------------------------------------------------------- written with the journal
async def row_of(
    keyring: Keyring, run: RunIdentity, command: object, fact: Fact
) -> dict[str, Any] | None:
    """The row of the decision that a fact ends; None if it ends no decision of a known version."""
    if not isinstance(command, RunLeaf) or command.kind != DECISION_KIND or fact.kind not in _ENDS:
        return None
    ref = read_ref(ref_of(command))
    if ref is None or ref.exact is None:
        return None
    data = fact.data if isinstance(fact.data, dict) else {}
    output = data.get("output")
    answer = output if isinstance(output, dict) else {}
    fired = answer.get("rules")
    failed = fact.kind is FactKind.LEAF_FAULTED
    row_id = new_id()
    case: dict[str, JSON] = {"input": redacted(input_of(command), command.secrets)}
    if failed:
        case["error"] = data.get("error")
    else:
        case["output"] = bare(answer)
    return {
        "id": row_id,
        "run_id": run.id,
        "key": fact.key,
        "path": command.path,
        "decision": ref.entry,
        "version": ref.selector,
        "flow": run.flow,
        "team": run.team,
        "data_class": run.data_class,
        "at": fact.at,
        "rules": [str(each) for each in fired] if isinstance(fired, list) else [],
        "failed": failed,
        "case_sealed": await TeamSealer(keyring, run.team).seal(CASES, row_id, "case", case),
    }


async def keep(row: dict[str, Any], session: AsyncSession) -> None:
    """Insert the row, once for each leaf."""
    await session.execute(insert(CASES).values(row).on_conflict_do_nothing())


def bare(answer: dict[str, JSON]) -> dict[str, JSON]:
    """The outputs of the table, without those that every decision has."""
    return {name: value for name, value in answer.items() if name not in RESERVED_OUTPUTS}


# ---------------------------------------------------------------- read
def asked(wanted: CaseFilter) -> list[ColumnElement[bool]]:
    """The conditions of a filter; a query adds which runs the actor may read."""
    found = [CASES.c.decision == wanted.decision]
    if wanted.version is not None:
        found.append(CASES.c.version == wanted.version)
    if wanted.after is not None:
        found.append(CASES.c.at >= wanted.after)
    if wanted.before is not None:
        found.append(CASES.c.at < wanted.before)
    if wanted.flows:
        flows = require_entries(wanted.flows, "flow", path="/flows")
        found.append(CASES.c.flow.in_(flows))
    return found


def beyond(after: str | None) -> list[ColumnElement[bool]]:
    """The condition for cases after a cursor, oldest first."""
    if after is None:
        return []
    key = decode("cases", after, [instants.read, uuids.read])
    return [tuple_(CASES.c.at, CASES.c.id) > tuple_(*key)]


def cursor(row: CaseRecord) -> str:
    """The cursor of a case."""
    return encode("cases", [instants.write(row.at), str(row.id)])


async def cases_page(
    read: Read, wanted: CaseFilter, *, first: int = 20, after: str | None = None
) -> Page[CaseRecord]:
    """Cases of runs that the actor may read, the oldest first.

    Raises:
        Invalid: `first` or `after` is not as it should be.
    """
    size = check_first(first)
    which = [*asked(wanted), readable_runs(read)]
    joined = select(*CASE_COLUMNS).join(RUNS, RUNS.c.id == CASES.c.run_id)
    rows = await read.session.execute(
        joined.where(*which, *beyond(after)).order_by(CASES.c.at, CASES.c.id).limit(size + 1),
    )
    found = [CASE_COLUMNS.record(row) for row in rows]
    counted = select(func.count()).select_from(CASES).join(RUNS, RUNS.c.id == CASES.c.run_id)
    items = tuple(found[:size])
    return Page(
        items=items,
        cursors=tuple(cursor(item) for item in items),
        has_next=len(found) > size,
        has_previous=after is not None,
        total=await read.session.scalar(counted.where(*which)) or 0,
    )


async def read_case_data(work: Work, ids: Collection[UUID]) -> dict[UUID, CaseData]:
    """The data of the cases whose run's data the actor may read (`run:read_data`); recorded."""
    rows = (
        await work.session.execute(
            select(CASES.c.id, CASES.c.case_sealed, *reading_columns(work))
            .join(RUNS, RUNS.c.id == CASES.c.run_id)
            .where(
                CASES.c.id.in_(ids),
                readable_runs(work),
                readable_runs(work, Permission.RUN_READ_DATA),
            ),
        )
    ).all()
    await record_readings(work, rows)
    return {row.id: await open_case(work, row) for row in rows}


async def open_case(read: Read, row: Any) -> CaseData:
    """The data of a row that has `id`, `team` and `case_sealed`."""
    case = await TeamSealer(read.keyring, row.team).open(CASES, row.id, "case", row.case_sealed)
    return CaseData(case.get("input"), case.get("output"), case.get("error"))


async def record_readings(work: Work, rows: Collection[Any]) -> None:
    """Record that the data of these cases was read: once a run, as for the run's own data."""
    for row in {row.run: row for row in rows}.values():
        await record_reading(work, row)
