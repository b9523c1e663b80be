"""Keep why a local run waits, who cancelled or retried a run, and which of our titles its error has.

`claim_token` tells a claim that is sent again from another one. All columns may be null, so processes
of the earlier version go on.

Revision: 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('runs', sa.Column('error_title', sa.String(), nullable=True))
    op.add_column('runs', sa.Column('waits_since', sa.DateTime(timezone=True), nullable=True))
    op.add_column('runs', sa.Column('claim_token', sa.String(), nullable=True))
    op.add_column('runs', sa.Column('timeout_seconds', sa.Float(), nullable=True))
    op.add_column('run_steps', sa.Column('error_title', sa.String(), nullable=True))
    op.create_table(
        'team_workers',
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('team', name=op.f('pk_team_workers')),
    )
    op.create_table(
        'run_interventions',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('run_id', sa.Uuid(), nullable=False),
        sa.Column(
            'kind',
            sa.Enum('CANCEL', 'RETRY', name='interventionkind', native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column('by', sa.String(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('reason_sealed', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ['run_id'], ['runs.id'], name=op.f('fk_run_interventions_run_id_runs')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_run_interventions')),
    )
    op.create_index(op.f('ix_run_interventions_run_id'), 'run_interventions', ['run_id'])


def downgrade() -> None:
    op.drop_table('run_interventions')
    op.drop_table('team_workers')
    op.drop_column('run_steps', 'error_title')
    op.drop_column('runs', 'timeout_seconds')
    op.drop_column('runs', 'claim_token')
    op.drop_column('runs', 'waits_since')
    op.drop_column('runs', 'error_title')
