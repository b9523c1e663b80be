"""Register clients of teams, and trust the tokens of CI issuers.

Revision: 0022, after 0021.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        'machine_clients',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.Text(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('scopes', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('secret_mac', sa.LargeBinary(), nullable=True),
        sa.Column('public_key', sa.LargeBinary(), nullable=True),
        sa.Column('created_by', sa.String(), nullable=False),
        sa.Column('created_at', moment, nullable=False),
        sa.Column('expires_at', moment, nullable=False),
        sa.Column('last_seen_at', moment, nullable=True),
        sa.Column('last_address', sa.String(), nullable=True),
        sa.Column('revoked_at', moment, nullable=True),
        sa.Column('revoked_by', sa.String(), nullable=True),
        sa.Column('mac', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ['team'], ['teams.slug'], name=op.f('fk_machine_clients_team_teams'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_machine_clients')),
    )
    op.create_index(op.f('ix_machine_clients_team'), 'machine_clients', ['team'])
    op.create_table(
        'trust_rules',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('team', sa.Text(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('issuer', sa.String(), nullable=False),
        sa.Column('audience', sa.String(), nullable=False),
        sa.Column('subject_pattern', sa.String(), nullable=False),
        sa.Column('scopes', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column('created_by', sa.String(), nullable=False),
        sa.Column('created_at', moment, nullable=False),
        sa.Column('expires_at', moment, nullable=False),
        sa.Column('last_seen_at', moment, nullable=True),
        sa.Column('last_address', sa.String(), nullable=True),
        sa.Column('revoked_at', moment, nullable=True),
        sa.Column('revoked_by', sa.String(), nullable=True),
        sa.Column('mac', sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ['team'], ['teams.slug'], name=op.f('fk_trust_rules_team_teams'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_trust_rules')),
    )
    op.create_index(op.f('ix_trust_rules_team'), 'trust_rules', ['team'])
    op.create_index(op.f('ix_trust_rules_issuer'), 'trust_rules', ['issuer'])


def downgrade() -> None:
    op.drop_table('trust_rules')
    op.drop_table('machine_clients')
