"""Write an event: one row, in the transaction of the change that it records."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from coe.audit.admission import code_of
from coe.audit.events import AuditOutcome, Tag
from coe.audit.models import AuditEvent
from coe.crypto.envelope import Cell
from coe.crypto.keys import Keyring
from coe.crypto.mac import MacKeys
from coe.db import new_id, utcnow
from coe.json_types import JSON

AUDIT_PURPOSE: Final = "audit"
MAX_COLUMN_LENGTH: Final = 500
"""The most characters of a column in clear; a longer value ends with an ellipsis."""

_EVENTS: Final = AuditEvent.metadata.tables["audit_events"]
_INSERT: Final = insert(_EVENTS)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event. `reason` and `detail` are sealed; all else is in clear: ids, no personal data.

    `actor_kind` is PERSON, SERVICE or RUN; `resource` is a name such as `run:<uuid>`; `team` is
    its namespace; `rule` is the policy line that decided; `detail` is the state before and after.
    """

    at: datetime
    actor: str
    actor_kind: str
    action: Tag
    resource: str
    team: str
    outcome: AuditOutcome = AuditOutcome.ALLOWED
    rule: str | None = None
    reason: str | None = None
    correlation_id: str | None = None
    request_id: str | None = None
    address: str | None = None
    detail: JSON = None


async def append(session: AsyncSession, keyring: Keyring, event: NewEvent) -> UUID:
    """Insert the event in the caller's transaction, and return its id.

    The event is in the log if that transaction commits; the sealer gives it a position then.
    """
    values = clear_columns(event)
    event_id: UUID = values["id"]
    reason = None if event.reason is None else _encode(event.reason)
    detail = None if event.detail is None else _encode(event.detail)
    for column, data in (("reason", reason), ("detail", detail)):
        sealed = None
        if data is not None:
            cell = cell_of(event_id, column, values["team"])
            sealed = await keyring.seal(cell, AUDIT_PURPOSE, data)
        values[f"{column}_sealed"] = sealed
        values[f"{column}_digest"] = sealed and hashlib.sha256(sealed).digest()
    await session.execute(_INSERT, with_code(keyring.macs, values))
    return event_id


def with_code(keys: MacKeys, values: dict[str, Any]) -> dict[str, Any]:
    """The columns of a new row with its code and the time of its insertion, which is now."""
    written = values | {"written_at": utcnow()}
    return written | {"mac": code_of(keys, written)}


def clear_columns(event: NewEvent) -> dict[str, Any]:
    """The columns in clear of a new event, which are all if it has no reason and no detail.

    For callers that insert the row in a statement with the change itself, `with_code`.
    """
    return {
        "id": new_id(),
        "at": event.at,
        "actor": _clear(event.actor),
        "actor_kind": str(event.actor_kind),
        "action": event.action.value,
        "resource": _clear(event.resource),
        "team": _clear(event.team),
        "outcome": event.outcome.value,
        "rule": _clear_or_none(event.rule),
        "correlation_id": _clear_or_none(event.correlation_id),
        "request_id": _clear_or_none(event.request_id),
        "address": _clear_or_none(event.address),
    }


def cell_of(event_id: UUID, column: str, team: object) -> Cell:
    """The cell of an event's sealed `reason` or `detail`."""
    return Cell("audit_events", str(event_id), f"{column}_sealed", str(team))


def _clear_or_none(value: str | None) -> str | None:
    return None if value is None else _clear(value)


def _clear(value: str) -> str:
    """Text that PostgreSQL accepts, whatever a client sent: no event may fail for its fields."""
    whole = _whole(value)
    return whole if len(whole) <= MAX_COLUMN_LENGTH else whole[: MAX_COLUMN_LENGTH - 1] + "…"


def _encode(value: JSON) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, or an integer beyond 64 bits
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _whole(value: str) -> str:
    valid = value.encode("utf-8", "replace").decode()
    return valid.replace("\x00", "\N{REPLACEMENT CHARACTER}")
