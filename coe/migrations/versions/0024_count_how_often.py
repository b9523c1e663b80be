"""Count how often subjects and addresses do what is limited.

A new table, which PostgreSQL does not log: the counters may be lost.

Revision: 0024, after 0023.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'rate_limits',
        sa.Column('key', sa.LargeBinary(), nullable=False),
        sa.Column('empty_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('noted_at', sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint('key', name=op.f('pk_rate_limits')),
        prefixes=['UNLOGGED'],
    )
    op.create_index(op.f('ix_rate_limits_empty_at'), 'rate_limits', ['empty_at'])


def downgrade() -> None:
    op.drop_table('rate_limits')
