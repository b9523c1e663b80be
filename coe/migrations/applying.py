"""Apply a revision to a database in use: short locks, tried again, and each part repeatable."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from coe.db import is_unreachable
from coe.db.revisions import SCHEMA_REVISIONS
from coe.errors import CoeError
from coe.migrations.online import Backfill, OnlineIndex
from coe.migrations.processes import oldest_transactions
from coe.migrations.revisions import LOCK_SECONDS, Revision, lock_limit

ReturnT = TypeVar("ReturnT")
Say = Callable[[str], None]
"""Tells the progress, in a line."""
PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, *(15.0,) * 8)
"""Seconds before what did not get a lock is tried again; whoever waited behind it goes first."""
TOLD_SECONDS: Final = 5.0
"""Between two lines about the progress of a back-fill."""

_LOCKED_OUT: Final = {"55P03", "40P01"}  # lock_not_available, deadlock_detected


class NoLock(CoeError):
    """A lock was not had: somebody holds it for long."""

    code = "UNAVAILABLE"
    status = 503


class RevisionFailed(CoeError):
    """The database refused a statement of a revision."""

    code = "CONFLICT"
    status = 409


def apply(connection: Connection, revision: Revision, say: Say) -> None:
    """Apply a revision, or go on with it where it was left.

    Raises:
        NoLock: A lock was not had, however often it was tried.
        RevisionFailed: A statement was refused, such as a unique index over what is not.
    """
    try:
        _apply(connection, revision, say)
    except DBAPIError as error:
        what = "was cut off from" if is_unreachable(error) else "was refused by"
        cause = error.orig and (error.orig.__cause__ or error.orig)
        why = str(cause).splitlines()[0]  # the rest may have values of rows
        message = (
            f"revision {revision.name} {what} the database: {why}. What it did before stays, and "
            "`coe migrate` goes on there; processes of this version wait until then"
        )
        raise RevisionFailed(message) from None


def _apply(connection: Connection, revision: Revision, say: Say) -> None:
    say(f"{revision.name} {revision.kind}: {revision.title}")
    _patiently(connection, revision, partial(_begin, connection, revision), say)
    for index in revision.indexes:
        _make_index(connection, revision, index, say)
    for backfill in revision.backfills:
        _fill(connection, revision, backfill, say)
    for validation in revision.validations:
        if _patiently(connection, revision, partial(validation.make, connection), say):
            say(f"{revision.name}: validated {validation.constraint}")
    with connection.begin():
        row = SCHEMA_REVISIONS.c.revision == revision.name
        left = SCHEMA_REVISIONS.c.finished_at.is_(None)
        ended = SCHEMA_REVISIONS.update().where(row, left)
        connection.execute(ended.values(finished_at=func.clock_timestamp()))


def note(connection: Connection, revision: Revision, *, finished: bool) -> None:
    """Note that a revision was applied."""
    connection.execute(
        SCHEMA_REVISIONS.insert().values(
            revision=revision.name,
            kind=revision.kind.value,
            works_with=revision.works_with,
            finished_at=func.clock_timestamp() if finished else None,
        )
    )


def _begin(connection: Connection, revision: Revision) -> None:
    """Run the statements of a revision, unless an earlier attempt has."""
    known = select(SCHEMA_REVISIONS.c.revision).where(SCHEMA_REVISIONS.c.revision == revision.name)
    if connection.scalar(known) is None:
        revision.run(connection)
        note(connection, revision, finished=not revision.online)


def _make_index(connection: Connection, revision: Revision, index: OnlineIndex, say: Say) -> None:
    say(f"{revision.name}: index {index.name}")
    connection.execution_options(isolation_level="AUTOCOMMIT")
    try:
        index.make(connection)
    finally:
        connection.rollback()
        connection.execution_options(isolation_level="READ COMMITTED")


def _fill(connection: Connection, revision: Revision, backfill: Backfill, say: Say) -> None:
    with connection.begin():
        about = backfill.estimate(connection)
    told, ended = 0.0, False
    while not ended:
        filled, ended = _patiently(
            connection, revision, partial(backfill.fill_page, connection, revision.name), say
        )
        if ended or time.monotonic() - told > TOLD_SECONDS:
            told = time.monotonic()
            of = "all done" if ended else f"the table has about {about:,}"
            say(f"{revision.name}: back-fill of {backfill.table}: {filled:,} rows changed, {of}")


def _patiently(
    connection: Connection, revision: Revision, work: Callable[[], ReturnT], say: Say
) -> ReturnT:
    """Do work in a transaction that waits for no lock for long; try again while it gets none."""
    for pause in (*PAUSES, None):
        try:
            with connection.begin():
                connection.execute(text(lock_limit()))
                return work()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _LOCKED_OUT:
                raise
        with connection.begin():
            open_ones = oldest_transactions(connection)
        holders = f"transactions that are open the longest: {open_ones}"
        if pause is None:
            message = (
                f"revision {revision.name} got no lock within {LOCK_SECONDS:g} s, {len(PAUSES)} "
                f"times; {holders}. End what holds it (SELECT pg_terminate_backend(pid)) and run "
                "`coe migrate` again: it goes on where it is"
            )
            raise NoLock(message)
        say(f"{revision.name}: no lock within {LOCK_SECONDS:g} s, again in {pause:g} s; {holders}")
        time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")
