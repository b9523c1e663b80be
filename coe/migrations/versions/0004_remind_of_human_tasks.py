"""Store reminders of human tasks.

Revision: 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('human_tasks', sa.Column('reminders', postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default=sa.text("'[]'")))
    op.alter_column('human_tasks', 'reminders', server_default=None)
    op.create_table('human_task_reminders',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('task_id', sa.Uuid(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('channel', sa.String(), nullable=True),
    sa.Column('notified_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('next_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['task_id'], ['human_tasks.id'], name=op.f('fk_human_task_reminders_task_id_human_tasks')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_human_task_reminders'))
    )
    op.create_index('ix_human_task_reminders_next_at', 'human_task_reminders', ['next_at'], unique=False, postgresql_where=sa.text('next_at IS NOT NULL'))
    op.create_index(op.f('ix_human_task_reminders_task_id'), 'human_task_reminders', ['task_id'], unique=False)


def downgrade() -> None:
    op.drop_index(op.f('ix_human_task_reminders_task_id'), table_name='human_task_reminders')
    op.drop_index('ix_human_task_reminders_next_at', table_name='human_task_reminders', postgresql_where=sa.text('next_at IS NOT NULL'))
    op.drop_table('human_task_reminders')
    op.drop_column('human_tasks', 'reminders')
