"""Keep who counts as one with the author of an act: the actor and the maker of its credential.

The columns have a default, so processes of the earlier version go on. What was done before counts as
done by its subject alone.

Revision: 0017, after 0016.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None

_COLUMNS = (
    ('runs', 'requester_persons'),
    ('human_tasks', 'requester_persons'),
    ('events', 'requester_persons'),
    ('human_task_approvals', 'persons'),
    ('entry_versions', 'author_persons'),
    ('version_approvals', 'persons'),
)


def upgrade() -> None:
    for table, column in _COLUMNS:
        op.add_column(
            table,
            sa.Column(column, postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
        )


def downgrade() -> None:
    for table, column in reversed(_COLUMNS):
        op.drop_column(table, column)
