"""Keep which approvals of a human task count no more, because another answer was given.

Those so far count. A task whose approvals so far are of different answers needs them again: what an
approval is of is read from its answer.

Revision: 0015, after 0014.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'human_task_approvals', sa.Column('voided_at', sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column('human_task_approvals', sa.Column('voided_by', sa.String(), nullable=True))
    op.create_index(
        'ix_human_task_approvals_counting',
        'human_task_approvals',
        ['task_id', 'by'],
        unique=True,
        postgresql_where=sa.text('voided_at IS NULL'),
    )
    op.drop_constraint(
        op.f('uq_human_task_approvals_task_id_by'), 'human_task_approvals', type_='unique'
    )


def downgrade() -> None:
    op.execute('DELETE FROM human_task_approvals WHERE voided_at IS NOT NULL')
    op.create_unique_constraint(
        op.f('uq_human_task_approvals_task_id_by'), 'human_task_approvals', ['task_id', 'by']
    )
    op.drop_index('ix_human_task_approvals_counting', 'human_task_approvals')
    op.drop_column('human_task_approvals', 'voided_by')
    op.drop_column('human_task_approvals', 'voided_at')
