"""The rows of which four eyes are made: who asked for a run, and who approved what.

Their codes (`coe.crypto.row_codes`) cover what never changes in the row of a run, a human task, an
approval or a received event. What is made of a row whose code does not fit (a task, a run that is
called, an event) gets no good code either. What is made of a row without one, as a process of an
earlier release writes it, gets none until somebody vouches for both (`coe.migrations.uncoded`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from coe.crypto.mac import MacKeys
from coe.crypto.row_codes import NO_CODE, CodedRows

RUN_CODES: Final = CodedRows(
    "runs", ("id", "team", "data_class", "version_id", "requester", "requester_persons")
)
TASK_CODES: Final = CodedRows(
    "human_tasks",
    (
        "id",
        "run_id",
        "team",
        "data_class",
        "requester",
        "requester_persons",
        "exclude",
        "approvals_needed",
    ),
)
APPROVAL_CODES: Final = CodedRows(
    "human_task_approvals", ("id", "task_id", "by", "persons", "at", "decision")
)
EVENT_CODES: Final = CodedRows(
    "events", ("id", "team", "sent_by", "requester", "requester_persons", "correlation_id")
)


def with_code(
    codes: CodedRows, macs: MacKeys, row: dict[str, Any], *, good: bool | None = True
) -> dict[str, Any]:
    """A new row with its code; `good` is whether that of which it is made has a good one.

    With None, that of which it is made has no code, and so has the row.
    """
    if good is None:
        return row | {"code": None}
    return row | {"code": codes.code(macs, row) if good else NO_CODE}


def all_good(found: Collection[bool | None]) -> bool | None:
    """Whether all rows of which something is made have good codes; None if only some have none."""
    if False in found:
        return False
    return None if None in found else True
