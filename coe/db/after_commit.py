"""What is done once a transaction has committed, such as counting what it changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

_ACTS: Final = "coe.db.after_commit"


class NotifyingSession(Session):
    """A session that does what was asked for after its commit."""


def after_commit(session: AsyncSession, act: Callable[[], None]) -> None:
    """Do this once the session has committed; not if it is rolled back.

    `act` may neither fail nor use the session.
    """
    session.info.setdefault(_ACTS, []).append(act)


@event.listens_for(NotifyingSession, "after_commit")
def _act(session: Session) -> None:
    if session.in_nested_transaction():
        return
    for act in session.info.pop(_ACTS, ()):
        act()


@event.listens_for(NotifyingSession, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(_ACTS, None)
