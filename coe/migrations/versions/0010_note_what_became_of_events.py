"""Note whether a run took an event that it got, and on which expression an event failed.

Deliveries so far count as taken, as they did; so do those that an older process writes meanwhile.

Revision: 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    state = sa.Enum('OFFERED', 'TAKEN', 'UNMATCHED', name='deliverystate', native_enum=False, length=16)
    op.add_column('event_deliveries', sa.Column('state', state, server_default='TAKEN', nullable=False))
    op.add_column('event_deliveries', sa.Column('unmatched_at', sa.String(), nullable=True))
    op.add_column('schedule_events', sa.Column('unmatched_at', sa.String(), nullable=True))
    op.add_column('run_steps', sa.Column('unmatched', sa.Integer(), server_default='0', nullable=False))
    op.add_column('run_steps', sa.Column('unmatched_at', sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column('run_steps', 'unmatched_at')
    op.drop_column('run_steps', 'unmatched')
    op.drop_column('schedule_events', 'unmatched_at')
    op.drop_column('event_deliveries', 'unmatched_at')
    op.drop_column('event_deliveries', 'state')
