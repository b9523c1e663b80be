"""The head of a run: what everybody who works on a run needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from coe.access.actor import ActorKind
from coe.audit.events import Tag
from coe.audit.log import NewEvent
from coe.runs.tables import RUNS


@dataclass(frozen=True, slots=True)
class RunHead:
    """What everybody who works on a run needs to know of it."""

    id: UUID
    flow: str
    version: str
    version_id: UUID
    local: bool
    team: str
    data_class: str
    correlation_id: str
    parent_id: UUID | None
    parent_key: str | None
    requester: str
    trace_id: str | None


HEAD_COLUMNS = tuple(RUNS.c[name] for name in RunHead.__dataclass_fields__)


def head(row: Any) -> RunHead:
    """The head of a run from a row that has `HEAD_COLUMNS`."""
    return RunHead(**{name: getattr(row, name) for name in RunHead.__dataclass_fields__})


def head_of(columns: Mapping[str, Any]) -> RunHead:
    """The same from a mapping that has them by their names."""
    return RunHead(**{name: columns[name] for name in RunHead.__dataclass_fields__})


def run_event(run: RunHead, tag: Tag, at: datetime, **more: Any) -> NewEvent:
    """An event of the log that the run itself causes, as its own actor."""
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
