"""The table of origins: the template of each instantiated flow version."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, LargeBinary
from sqlmodel import Field, SQLModel

from coe.db import utcnow


class TemplateOrigin(SQLModel, table=True):
    """The template version from which a flow version was rendered, and the sealed parameters.

    `digest` is that of the rendering: a draft may be changed by hand afterwards.
    """

    __tablename__ = "template_origins"

    flow_version_id: UUID = Field(
        foreign_key="entry_versions.id", primary_key=True, ondelete="CASCADE"
    )
    flow_entry_id: UUID = Field(foreign_key="entries.id", index=True)
    flow_team: str
    template_version_id: UUID = Field(foreign_key="entry_versions.id", index=True)
    template_entry_id: UUID = Field(foreign_key="entries.id", index=True)
    parameters_sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    digest: str | None = None
    created_at: datetime = Field(
        default_factory=utcnow,
        sa_column=Column(DateTime(timezone=True), nullable=False),
    )
