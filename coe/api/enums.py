"""The enums of the schema: those of the code below, given their names and descriptions once.

`coe.api.nodes` imports this, so that they are known before any type names one.
"""

from __future__ import annotations

import strawberry

from coe.access.actor import ActorKind, DataClass
from coe.audit.events import AuditOutcome
from coe.catalog.models import EntryKind, FlowKind, Lifecycle
from coe.catalog.search.query import CatalogOrder
from coe.errors import Severity
from coe.language.schedules import ScheduleKind
from coe.machine.commands import StepState
from coe.runs.models import RunState
from coe.runs.task_models import HumanTaskState

strawberry.enum(ActorKind, description="What kind of actor a subject is")
strawberry.enum(CatalogOrder, description="How found entries are ordered")
strawberry.enum(DataClass, description="How sensitive a thing is, from least to most")
strawberry.enum(EntryKind, description="What an entry of the catalog is")
strawberry.enum(FlowKind, description="CENTRAL: the platform runs it; LOCAL: its team does")
strawberry.enum(HumanTaskState, description="Where a human task stands")
strawberry.enum(Lifecycle, description="Where a version stands on its way")
strawberry.enum(AuditOutcome, name="AuditOutcome", description="How what an event tells of ended")
strawberry.enum(RunState, description="Where a run stands; the last three are its ends")
strawberry.enum(
    ScheduleKind,
    description="By what a flow is started: the clock, the end of its last run, events",
)
strawberry.enum(Severity, description="An ERROR refuses; a WARNING and an INFO only tell")
strawberry.enum(StepState, description="Where one execution of a task stands")
