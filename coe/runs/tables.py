"""The tables of runs as Core tables: prepared statements name columns, not entities."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, DateTime, func

from coe.db.tables import table_of
from coe.runs.decision_models import DecisionCase
from coe.runs.event_models import EventDelivery, EventSubscription, ReceivedEvent
from coe.runs.models import (
    JournalEntry,
    Run,
    RunInbox,
    RunIntervention,
    RunStep,
    TeamWorker,
    Timer,
)
from coe.runs.schedule_models import Schedule, ScheduleEvent
from coe.runs.task_models import (
    HumanTask,
    HumanTaskApproval,
    HumanTaskEscalation,
    HumanTaskHolder,
    HumanTaskReminder,
)

NOW: Final[ColumnElement[Any]] = func.clock_timestamp(type_=DateTime(timezone=True))
"""The database's clock, in a statement: the one by which processes agree."""

RUNS: Final = table_of(Run)
JOURNAL: Final = table_of(JournalEntry)
INBOX: Final = table_of(RunInbox)
STEPS: Final = table_of(RunStep)
TIMERS: Final = table_of(Timer)
INTERVENTIONS: Final = table_of(RunIntervention)
TEAM_WORKERS: Final = table_of(TeamWorker)
TASKS: Final = table_of(HumanTask)
APPROVALS: Final = table_of(HumanTaskApproval)
ESCALATIONS: Final = table_of(HumanTaskEscalation)
HOLDERS: Final = table_of(HumanTaskHolder)
REMINDERS: Final = table_of(HumanTaskReminder)
EVENTS: Final = table_of(ReceivedEvent)
SUBSCRIPTIONS: Final = table_of(EventSubscription)
DELIVERIES: Final = table_of(EventDelivery)
SCHEDULES: Final = table_of(Schedule)
SCHEDULE_EVENTS: Final = table_of(ScheduleEvent)
CASES: Final = table_of(DecisionCase)
