"""Store the root of the calls and the question of human tasks, so that approvers can be excluded.

Tasks that an earlier version opens have neither: they count by their run and their path.

Revision: 0011, after 0010.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('human_tasks', sa.Column('root_run_id', sa.Uuid(), nullable=True))
    op.add_column('human_tasks', sa.Column('question', sa.String(), nullable=True))
    op.create_index('ix_human_tasks_root_run_id', 'human_tasks', ['root_run_id'])
    op.execute("""
        WITH RECURSIVE called AS (
            SELECT id, id AS root FROM runs WHERE parent_id IS NULL
            UNION ALL
            SELECT runs.id, called.root FROM runs JOIN called ON runs.parent_id = called.id
        )
        UPDATE human_tasks SET root_run_id = called.root
        FROM called
        WHERE called.id = human_tasks.run_id AND called.root <> human_tasks.run_id
    """)


def downgrade() -> None:
    op.drop_index('ix_human_tasks_root_run_id', 'human_tasks')
    op.drop_column('human_tasks', 'question')
    op.drop_column('human_tasks', 'root_run_id')
