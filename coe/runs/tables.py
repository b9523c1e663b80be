"""The tables of runs as Core tables: prepared statements name columns, not entities."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, DateTime, Table, func
from sqlmodel import SQLModel

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


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


RUNS: Final = _table(Run)
JOURNAL: Final = _table(JournalEntry)
INBOX: Final = _table(RunInbox)
STEPS: Final = _table(RunStep)
TIMERS: Final = _table(Timer)
INTERVENTIONS: Final = _table(RunIntervention)
TEAM_WORKERS: Final = _table(TeamWorker)
TASKS: Final = _table(HumanTask)
APPROVALS: Final = _table(HumanTaskApproval)
ESCALATIONS: Final = _table(HumanTaskEscalation)
HOLDERS: Final = _table(HumanTaskHolder)
REMINDERS: Final = _table(HumanTaskReminder)
EVENTS: Final = _table(ReceivedEvent)
SUBSCRIPTIONS: Final = _table(EventSubscription)
DELIVERIES: Final = _table(EventDelivery)
SCHEDULES: Final = _table(Schedule)
SCHEDULE_EVENTS: Final = _table(ScheduleEvent)
CASES: Final = _table(DecisionCase)
