"""Events of the audit log that a run itself causes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from coe.access.actor import ActorKind
from coe.audit.events import Tag
from coe.audit.log import NewEvent
from coe.runs.records import RunIdentity


def run_event(run: RunIdentity, tag: Tag, at: datetime, **more: Any) -> NewEvent:
    """An event whose actor is the run, and whose resource too unless `more` names another."""
    fields: dict[str, Any] = {
        "at": at,
        "actor": f"run:{run.id}",
        "actor_kind": ActorKind.RUN,
        "action": tag,
        "resource": f"run:{run.id}",
        "team": run.team,
        "correlation_id": run.correlation_id,
    }
    return NewEvent(**{**fields, **more})
