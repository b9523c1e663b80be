"""The enums of the schema that packages below define, with their names and descriptions.

`coe.api.graphql.nodes` imports this, so that they are registered before any type names one.
"""

from __future__ import annotations

import strawberry

from coe.access.actor import ActorKind, DataClass
from coe.access.membership_changes import MembersSource
from coe.access.models import PersonState, TeamState
from coe.audit.events import AuditOutcome
from coe.catalog.models import EntryKind, FlowKind, Lifecycle
from coe.catalog.search.query import CatalogOrder
from coe.errors import Severity
from coe.governance.losses import LossState
from coe.identity.team_lifecycle.steps import TeamStepState
from coe.identity.teams.holdings import HoldingKind
from coe.identity.teams.models import ProposalState, RequestState
from coe.language.schedules import ScheduleKind
from coe.machine.commands import StepState, WaitCause
from coe.runs.models import InterventionKind, RunState
from coe.runs.task_models import HumanTaskState

strawberry.enum(ActorKind, description="What kind of actor a subject is")
strawberry.enum(CatalogOrder, description="The order of the entries that were found")
strawberry.enum(DataClass, description="How sensitive a thing is, from least to most")
strawberry.enum(EntryKind, description="The kind of an entry of the catalog")
strawberry.enum(FlowKind, description="CENTRAL: the platform runs it; LOCAL: its team does")
strawberry.enum(HoldingKind, description="What kind of thing a person answers for")
strawberry.enum(TeamStepState, description="Whether a step of a team's start or end is done")
strawberry.enum(HumanTaskState, description="The state of a human task")
strawberry.enum(InterventionKind, description="What somebody did to a run")
strawberry.enum(Lifecycle, description="The state of a version in its lifecycle")
strawberry.enum(AuditOutcome, description="How an audited action ended")
strawberry.enum(
    LossState,
    name="AuditLossState",
    description="How far the acceptance of a loss of sealed events is",
)
strawberry.enum(MembersSource, description="Where the people of a team come from")
strawberry.enum(PersonState, description="Whether a person may use the platform")
strawberry.enum(
    ProposalState,
    name="MembershipChangeState",
    description="What became of a change of members that a second person approves",
)
strawberry.enum(
    RequestState,
    name="AccessRequestState",
    description="What became of a request for access",
)
strawberry.enum(RunState, description="The state of a run; the last three are final")
strawberry.enum(
    ScheduleKind,
    description="What starts a flow: the clock, the end of its last run, events",
)
strawberry.enum(Severity, description="Only an ERROR refuses the document or the input")
strawberry.enum(StepState, description="The state of one execution of a task")
strawberry.enum(TeamState, description="Whether a team works with the platform")
strawberry.enum(WaitCause, description="For what a step or a run waits")
