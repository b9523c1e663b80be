"""Which rows become events: those whose code shows that a process of the platform wrote them.

The code (`coe.crypto.mac`) is made at the insertion with a key outside of the database, over every
column that the leaf covers and the time of the insertion. The leaf also covers the position, which
the sealer gives, and the transaction, which the database gives.

Whoever can only write the database cannot make a code. What they insert, or change before it is
sealed, is refused: it stays in the table, gets no position, and never becomes an event. The others
are sealed all the same, so nobody stops the log by inserting rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import orjson

from coe.audit.models import CLOCK_BOUND
from coe.audit.records import AuditEventRecord
from coe.crypto.mac import MacKeys, MacPurpose

CODED: Final = (
    "id",
    "at",
    "actor",
    "actor_kind",
    "action",
    "resource",
    "team",
    "outcome",
    "rule",
    "correlation_id",
    "request_id",
    "address",
    "reason_digest",
    "detail_digest",
    "written_at",
)
"""The columns under the code, in its order."""

_COLUMNS: Final = attrgetter(*CODED)
_BOUND: Final = timedelta(seconds=CLOCK_BOUND)


class Refusal(StrEnum):
    """Why a row is no event."""

    NO_CODE = "NO_CODE"
    """Nobody with the key wrote it, or a process of a release without codes did."""
    WRONG_CODE = "WRONG_CODE"
    """It was forged, or changed after its insertion."""
    WRONG_TIME = "WRONG_TIME"
    """The times of its insertion by both clocks are too far apart, or lie in the future."""
    WRONG_DIGEST = "WRONG_DIGEST"
    """Its sealed reason or detail is not what its digest is of."""

    @property
    def text(self) -> str:
        """The reason for people."""
        return _TEXTS[self]


_TEXTS: Final = {
    Refusal.NO_CODE: "it has no code: the platform did not write it, or an earlier release did",
    Refusal.WRONG_CODE: "its code does not fit: it was forged, or changed after its insertion",
    Refusal.WRONG_TIME: "it was not written when the database stored it",
    Refusal.WRONG_DIGEST: "its sealed reason or detail is not what its digest is of",
}


def code_of(keys: MacKeys, values: Mapping[str, Any]) -> bytes:
    """The code of a new row with these columns, which include `written_at`."""
    return keys.code(MacPurpose.AUDIT_EVENT, _message(map(values.get, CODED)))


def code_fits(keys: MacKeys, code: bytes | None, values: Mapping[str, Any]) -> bool:
    """Whether a row with these columns and this code was written with the keys."""
    return keys.verify(MacPurpose.AUDIT_EVENT, code, _message(map(values.get, CODED)))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row that waits for the sealer; the sealed bytes of `event` are not read.

    `digests_match` is whether they have the stored digests; `readable` is false if a time of the
    row is none that Python has, such as infinity.
    """

    event: AuditEventRecord
    digests_match: bool
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Admission:
    """The check of rows that wait.

    `unsigned_until` is until when rows without a code are admitted, as earlier releases write them.
    """

    keys: MacKeys
    unsigned_until: datetime | None = None

    def admits_unsigned(self, now: datetime) -> bool:
        """Whether rows without a code are admitted now."""
        return self.unsigned_until is not None and now < self.unsigned_until

    def refusal(self, row: Waiting, now: datetime) -> Refusal | None:
        """Why the row is no event; None if it is one. `now` is the time of the database."""
        event = row.event
        if not row.readable:
            return Refusal.WRONG_TIME
        if event.mac is None:
            if not self.admits_unsigned(now):
                return Refusal.NO_CODE
        elif not self.fits(event):
            return Refusal.WRONG_CODE
        elif not _in_time(event, now):
            return Refusal.WRONG_TIME
        return None if row.digests_match else Refusal.WRONG_DIGEST

    def fits(self, event: AuditEventRecord) -> bool:
        """Whether the code of a row is that of its columns."""
        return self.keys.verify(MacPurpose.AUDIT_EVENT, event.mac, _message(_COLUMNS(event)))


def _in_time(event: AuditEventRecord, now: datetime) -> bool:
    if event.written_at is None or event.stored_at is None:
        return False
    return (
        abs(event.written_at - event.stored_at) <= _BOUND
        and event.stored_at <= now + _BOUND
        and event.written_at <= now + _BOUND
    )


def _message(values: Iterable[UUID | datetime | str | bytes | None]) -> bytes:
    """The columns under the code as one JSON array: no two rows have the same."""
    return orjson.dumps(
        [
            value
            if value is None or isinstance(value, str)
            else value.hex()
            if isinstance(value, bytes)
            else value.astimezone(UTC)
            if isinstance(value, datetime)
            else str(value)
            for value in values
        ]
    )
