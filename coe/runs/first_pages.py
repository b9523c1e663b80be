"""The first page of the runs of several flows, in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coe.catalog.first_pages import ChildList, first_pages
from coe.formats import instants
from coe.paging import Page, encode
from coe.runs.records import RUN_COLUMNS, RunRecord
from coe.runs.tables import RUNS
from coe.runs.visibility import readable_runs
from coe.work import Read

_RUNS_OF_FLOW: ChildList[str, RunRecord] = ChildList(
    columns=tuple(RUN_COLUMNS),
    parent=RUNS.c.flow,
    readable=readable_runs,
    order=(RUNS.c.requested_at.desc(), RUNS.c.id.desc()),
    record=RUN_COLUMNS.record,
    cursor=lambda row: encode("runs", [instants.write(row.requested_at), str(row.id)]),
)


async def first_runs(read: Read, flows: Sequence[str], first: int) -> Mapping[str, Page[RunRecord]]:
    """The first page of the runs of each flow ("namespace/name"), the newest first."""
    return await first_pages(read, _RUNS_OF_FLOW, flows, first)
