"""Store the cases of decisions.

Revision: 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('decision_cases',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('path', sa.String(), nullable=False),
    sa.Column('decision', sa.String(), nullable=False),
    sa.Column('version', sa.String(), nullable=False),
    sa.Column('flow', sa.String(), nullable=False),
    sa.Column('team', sa.String(), nullable=False),
    sa.Column('data_class', sa.String(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('rules', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('failed', sa.Boolean(), nullable=False),
    sa.Column('case_sealed', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_decision_cases_run_id_runs'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_decision_cases')),
    sa.UniqueConstraint('run_id', 'key', name=op.f('uq_decision_cases_run_id_key'))
    )
    op.create_index(op.f('ix_decision_cases_decision_at_id'), 'decision_cases', ['decision', 'at', 'id'], unique=False)


def downgrade() -> None:
    op.drop_index(op.f('ix_decision_cases_decision_at_id'), table_name='decision_cases')
    op.drop_table('decision_cases')
