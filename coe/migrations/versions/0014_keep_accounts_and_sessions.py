"""Keep the accounts of people, and their sessions.

Revision: 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'people',
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('issuer', sa.String(), nullable=True),
        sa.Column('external_id', sa.String(), nullable=True),
        sa.Column('provisioned_id', sa.String(), nullable=True),
        sa.Column('user_name', sa.String(), nullable=True),
        sa.Column('display_name', sa.String(), nullable=False),
        sa.Column('email_sealed', sa.LargeBinary(), nullable=True),
        sa.Column('source', sa.String(), nullable=False),
        sa.Column('state', sa.String(), server_default='ACTIVE', nullable=False),
        sa.Column('state_changed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_sign_in_at', sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint('subject', name=op.f('pk_people')),
        sa.UniqueConstraint('id', name=op.f('uq_people_id')),
        sa.UniqueConstraint('issuer', 'external_id', name=op.f('uq_people_issuer_external_id')),
    )
    op.create_index('ix_people_subject_lower', 'people', [sa.text('lower(subject)')], unique=True)
    op.create_index(op.f('ix_people_provisioned_id'), 'people', ['provisioned_id'])
    op.create_index(op.f('ix_people_user_name'), 'people', ['user_name'])
    op.create_table(
        'sessions',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('mac', sa.LargeBinary(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('issuer', sa.String(), nullable=False),
        sa.Column('external_id', sa.String(), nullable=False),
        sa.Column('issuer_session', sa.String(), nullable=True),
        sa.Column('acr', sa.String(), nullable=True),
        sa.Column('amr', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
        sa.Column('authenticated_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('address', sa.String(), nullable=True),
        sa.Column('client', sa.String(), nullable=True),
        sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('revoked_by', sa.String(), nullable=True),
        sa.Column('revoked_why', sa.String(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_sessions')),
    )
    for column in ('subject', 'external_id', 'issuer_session', 'expires_at'):
        op.create_index(op.f(f'ix_sessions_{column}'), 'sessions', [column])


def downgrade() -> None:
    op.drop_table('sessions')
    op.drop_table('people')
