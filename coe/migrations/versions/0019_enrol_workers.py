"""Enrol workers of teams with keys of their own, and keep which worker claimed a run.

Revision: 0019, after 0018.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        'enrolment_codes',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.Text(), nullable=False),
        sa.Column('code_mac', sa.LargeBinary(), nullable=False),
        sa.Column('created_by', sa.String(), nullable=False),
        sa.Column('created_at', moment, nullable=False),
        sa.Column('expires_at', moment, nullable=False),
        sa.Column('used_at', moment, nullable=True),
        sa.Column('worker', sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ['team'], ['teams.slug'], name=op.f('fk_enrolment_codes_team_teams'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_enrolment_codes')),
        sa.UniqueConstraint('code_mac', name=op.f('uq_enrolment_codes_code_mac')),
    )
    op.create_index(op.f('ix_enrolment_codes_team'), 'enrolment_codes', ['team'])
    op.create_table(
        'worker_keys',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.Text(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('public_key', sa.LargeBinary(), nullable=False),
        sa.Column('enrolled_by', sa.String(), nullable=False),
        sa.Column('enrolled_at', moment, nullable=False),
        sa.Column('address', sa.String(), nullable=True),
        sa.Column('expires_at', moment, nullable=False),
        sa.Column('last_seen_at', moment, nullable=True),
        sa.Column('last_address', sa.String(), nullable=True),
        sa.Column('revoked_at', moment, nullable=True),
        sa.Column('revoked_by', sa.String(), nullable=True),
        sa.Column('mac', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ['team'], ['teams.slug'], name=op.f('fk_worker_keys_team_teams'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_worker_keys')),
        sa.UniqueConstraint('public_key', name=op.f('uq_worker_keys_public_key')),
    )
    op.create_index(op.f('ix_worker_keys_team'), 'worker_keys', ['team'])
    op.create_table(
        'spent_assertions',
        sa.Column('digest', sa.LargeBinary(), nullable=False),
        sa.Column('expires_at', moment, nullable=False),
        sa.PrimaryKeyConstraint('digest', name=op.f('pk_spent_assertions')),
    )
    op.create_index(op.f('ix_spent_assertions_expires_at'), 'spent_assertions', ['expires_at'])
    op.create_table(
        'failed_enrolments',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('address', sa.String(), nullable=False),
        sa.Column('at', moment, nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_failed_enrolments')),
    )
    op.create_index(op.f('ix_failed_enrolments_address_at'), 'failed_enrolments', ['address', 'at'])
    op.add_column('runs', sa.Column('claimed_by', sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column('runs', 'claimed_by')
    op.drop_table('failed_enrolments')
    op.drop_table('spent_assertions')
    op.drop_table('worker_keys')
    op.drop_table('enrolment_codes')
