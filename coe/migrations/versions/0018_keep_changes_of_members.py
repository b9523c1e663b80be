"""Keep changes of members that wait for a second person, and requests for access.

Revision: 0018, after 0017.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'membership_proposals',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('display_name', sa.String(), nullable=False),
        sa.Column('roles', postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column('roles_before', postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('origin', sa.String(), nullable=False),
        sa.Column('request_id', sa.Uuid(), nullable=True),
        sa.Column('proposed_by', sa.String(), nullable=False),
        sa.Column('persons', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('reason_sealed', sa.LargeBinary(), nullable=False),
        sa.Column('state', sa.String(), nullable=False),
        sa.Column('decided_by', sa.String(), nullable=True),
        sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('answer_sealed', sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_membership_proposals')),
    )
    for column in ('team', 'subject', 'request_id', 'state'):
        op.create_index(op.f(f'ix_membership_proposals_{column}'), 'membership_proposals', [column])
    op.create_table(
        'access_requests',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.String(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('display_name', sa.String(), nullable=False),
        sa.Column('role', sa.String(), nullable=True),
        sa.Column('until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('requested_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('reason_sealed', sa.LargeBinary(), nullable=False),
        sa.Column('state', sa.String(), nullable=False),
        sa.Column('decided_by', sa.String(), nullable=True),
        sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('answer_sealed', sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_access_requests')),
    )
    for column in ('team', 'subject', 'state'):
        op.create_index(op.f(f'ix_access_requests_{column}'), 'access_requests', [column])


def downgrade() -> None:
    op.drop_table('access_requests')
    op.drop_table('membership_proposals')
