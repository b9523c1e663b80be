"""Say where the people of a team come from, and until when they are in it.

Revision: 0016, after 0015.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('teams', sa.Column('members_source', sa.String(), server_default='content', nullable=False))
    op.add_column('teams', sa.Column('state', sa.String(), server_default='ACTIVE', nullable=False))
    op.add_column('memberships', sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('memberships', sa.Column('granted', postgresql.JSONB(), server_default='{}', nullable=False))


def downgrade() -> None:
    op.drop_column('memberships', 'granted')
    op.drop_column('memberships', 'expires_at')
    op.drop_column('teams', 'state')
    op.drop_column('teams', 'members_source')
