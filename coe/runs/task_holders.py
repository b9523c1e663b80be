"""Who has a human task, from when until when: the history, and the facts for the run.

A fact of this kind does not wake the run: whoever waits for the answer need not know. It is
journaled with the next one, in order, for its time is that of the run's steps.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from coe.crypto.keys import Keyring
from coe.db import new_id
from coe.json_types import JSON
from coe.machine.facts import Fact, FactKind
from coe.runs import inbox
from coe.runs.tables import HOLDERS


async def change_holder(
    session: AsyncSession, keyring: Keyring, task: Any, to: str | None, at: datetime
) -> None:
    """Note that another person, or nobody, has the open task (its row, locked) from now on."""
    if task.assignee == to:
        return
    await end_holding(session, [task.id], at)
    if to is not None:
        row = {"id": new_id(), "task_id": task.id, "by": to, "at": at}
        await session.execute(insert(HOLDERS).values(row))
    data: JSON = {"by": to}
    fact = Fact(FactKind.TASK_HELD, at, task.key, data)
    await inbox.tell(session, keyring, task.run_id, fact, dedupe=f"held:{new_id()}")


async def end_holding(session: AsyncSession, tasks: Collection[UUID], at: datetime) -> None:
    """Note that nobody has these tasks any more."""
    await session.execute(
        update(HOLDERS)
        .where(HOLDERS.c.task_id.in_(tasks), HOLDERS.c.until.is_(None))
        .values(until=func.greatest(HOLDERS.c.at, at)),
    )
