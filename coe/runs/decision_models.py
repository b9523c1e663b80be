"""The cases that decision tables decided: what "last month's cases on the draft" goes through."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKeyConstraint, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from coe.db import new_id


class DecisionCase(SQLModel, table=True):
    """One decision of one run: which version decided, by which rules, and when.

    It is written with the fact that ends the leaf, so there is one exactly if the run's journal
    has that fact. `decision` is "namespace/name"; `flow`, `team` and `data_class` are those of the
    run. `case_sealed` holds `{input, output}` (the table's outputs alone) or `{input, error}`, with
    the data key of the team; `failed` says which.
    """

    __tablename__ = "decision_cases"
    __table_args__ = (
        ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        UniqueConstraint("run_id", "key"),
        Index(None, "decision", "at", "id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    run_id: UUID
    key: str
    path: str
    decision: str
    version: str
    flow: str
    team: str
    data_class: str
    at: datetime
    rules: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    failed: bool
    case_sealed: bytes
