"""Tables of SCIM: the groups of the directory, and who is in them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, ForeignKey, Uuid
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow


def _moment() -> Column[datetime]:
    return Column(DateTime(timezone=True), nullable=False)


class ScimGroup(SQLModel, table=True):
    """A group of the directory.

    A display name `team/role` gives its people this role in the team, `team` the membership alone;
    any other gives nothing.
    """

    __tablename__ = "scim_groups"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    external_id: str | None = None
    display_name: str = Field(index=True)
    created_at: datetime = Field(default_factory=utcnow, sa_column=_moment())
    changed_at: datetime = Field(default_factory=utcnow, sa_column=_moment())


class ScimGroupMember(SQLModel, table=True):
    """An account in a group."""

    __tablename__ = "scim_group_members"

    group_id: UUID = Field(
        sa_column=Column(Uuid, ForeignKey("scim_groups.id", ondelete="CASCADE"), primary_key=True)
    )
    person_id: UUID = Field(primary_key=True, index=True)
