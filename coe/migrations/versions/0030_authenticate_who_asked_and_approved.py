"""Keep codes over who asked for runs and tasks, who approved, who sent events, and who owns entries.

They are made with a key outside the database. `coe.migrations.uncoded` gives them to the rows that
there are, right after this revision.

Revision: 0030, after 0029.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0030'
down_revision = '0029'
branch_labels = None
depends_on = None

TABLES = ('runs', 'human_tasks', 'human_task_approvals', 'events', 'entries', 'entry_versions')


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column('code', sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_column(table, 'code')
