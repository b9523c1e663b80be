"""${message}.

Revision: ${name}.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '${name}'
kind = 'expand'
# An expand adds: nullable columns or such with a default, tables, constraints as NOT VALID. A
# contract takes away what no process uses any more that knows it (kind = 'contract'). What takes
# long or holds up others is done beside it, by what coe.migrations.online has:
# indexes = (OnlineIndex('ix_runs_team', 'runs', '(team, id)'),)
# backfills = (Backfill('runs', ('id',), "UPDATE runs SET a = 'b' WHERE {page} AND a IS NULL"),)
# validations = (Validation('runs', 'ck_runs_a'),)


def upgrade() -> None:
    ${upgrades}
