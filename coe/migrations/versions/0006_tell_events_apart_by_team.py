"""Make a source and an id identify an event per team.

Revision: 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('events', sa.Column('team', sa.String(), nullable=True))
    op.execute("UPDATE events SET team = 'coe'")
    op.alter_column('events', 'team', nullable=False)
    op.drop_constraint('uq_events_name', 'events', type_='unique')
    op.create_unique_constraint('uq_events_team_name', 'events', ['team', 'name'])
    for table, key in (('event_deliveries', 'run_id'), ('schedule_events', 'schedule_id')):
        op.add_column(table, sa.Column('name', sa.LargeBinary(), nullable=True))
        op.execute(f'UPDATE {table} SET name = events.name FROM events WHERE events.id = {table}.event_id')
        op.alter_column(table, 'name', nullable=False)
        op.create_unique_constraint(f'uq_{table}_{key}_name', table, [key, 'name'])
    op.drop_index('ix_event_deliveries_run_id', table_name='event_deliveries')


def downgrade() -> None:
    op.create_index('ix_event_deliveries_run_id', 'event_deliveries', ['run_id'], unique=False)
    for table, key in (('schedule_events', 'schedule_id'), ('event_deliveries', 'run_id')):
        op.drop_constraint(f'uq_{table}_{key}_name', table, type_='unique')
        op.drop_column(table, 'name')
    op.drop_constraint('uq_events_team_name', 'events', type_='unique')
    op.create_unique_constraint('uq_events_name', 'events', ['name'])
    op.drop_column('events', 'team')
