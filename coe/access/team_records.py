"""What a read of teams returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from coe.access.models import Team
from coe.db.records import Columns
from coe.db.tables import table_of

TEAMS: Final = table_of(Team)


@dataclass(frozen=True, slots=True)
class TeamRecord:
    """A team without its people."""

    slug: str
    id: UUID
    name: str
    domain: str | None
    contact: str | None
    members_source: str
    state: str


TEAM_COLUMNS: Final = Columns(TeamRecord, TEAMS)
