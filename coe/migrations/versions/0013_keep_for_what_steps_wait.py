"""Keep how long steps and runs wait, and for what, how long people hold them, and who holds a task.

New columns are nullable or have a default, so processes of the earlier version go on. What the steps
so far waited gets its cause by the kind of the step, and is at most as long as the step; who holds a
task now has held it since now.

Revision: 0013, after 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('run_steps', sa.Column('held_seconds', sa.Float(), server_default='0', nullable=False))
    op.add_column('run_steps', sa.Column('waits', postgresql.JSONB(), nullable=True))
    op.add_column('run_steps', sa.Column('phase', sa.String(), nullable=True))
    op.add_column('run_steps', sa.Column('parent_key', sa.String(), nullable=True))
    op.add_column('runs', sa.Column('waits', postgresql.JSONB(), nullable=True))
    op.add_column('runs', sa.Column('held_seconds', sa.Float(), nullable=True))
    op.execute(
        """
        UPDATE run_steps SET
            changed_at = greatest(ended_at, started_at),
            waited_seconds = waited.seconds,
            waits = jsonb_build_object(
                CASE kind WHEN 'humanTask' THEN 'PEOPLE_QUEUE' WHEN 'listen' THEN 'EVENT'
                    WHEN 'localFlow' THEN 'OTHER_TEAM' WHEN 'run' THEN 'OTHER_TEAM' ELSE 'TIMER' END,
                waited.seconds)
        FROM (
            SELECT id AS step, least(waited_seconds, greatest(extract(epoch FROM ended_at - started_at), 0))
                AS seconds
            FROM run_steps WHERE waited_seconds > 0 AND ended_at IS NOT NULL AND started_at IS NOT NULL
        ) AS waited
        WHERE waited.step = run_steps.id
        """
    )
    op.create_table(
        'human_task_holders',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('task_id', sa.Uuid(), nullable=False),
        sa.Column('by', sa.String(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('until', sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ['task_id'], ['human_tasks.id'], name=op.f('fk_human_task_holders_task_id_human_tasks')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_human_task_holders')),
    )
    op.create_index(op.f('ix_human_task_holders_task_id_at'), 'human_task_holders', ['task_id', 'at'])
    op.execute(
        """
        INSERT INTO human_task_holders (id, task_id, "by", at)
        SELECT gen_random_uuid(), id, assignee, clock_timestamp() FROM human_tasks
        WHERE state = 'CLAIMED' AND assignee IS NOT NULL
        """
    )


def downgrade() -> None:
    op.drop_table('human_task_holders')
    op.drop_column('runs', 'held_seconds')
    op.drop_column('runs', 'waits')
    op.drop_column('run_steps', 'parent_key')
    op.drop_column('run_steps', 'phase')
    op.drop_column('run_steps', 'waits')
    op.drop_column('run_steps', 'held_seconds')
