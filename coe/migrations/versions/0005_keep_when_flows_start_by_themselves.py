"""Store schedules.

Revision: 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('schedules',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('entry_id', sa.Uuid(), nullable=False),
    sa.Column('flow', sa.String(), nullable=False),
    sa.Column('version', sa.String(), nullable=False),
    sa.Column('version_id', sa.Uuid(), nullable=False),
    sa.Column('team', sa.String(), nullable=False),
    sa.Column('data_class', sa.String(), nullable=False),
    sa.Column('kind', sa.Enum('AFTER', 'CRON', 'EVERY', 'ON', name='schedulekind', native_enum=False, length=16), nullable=False),
    sa.Column('expression', sa.String(), nullable=False),
    sa.Column('time_zone', sa.String(), nullable=False),
    sa.Column('seconds', sa.Float(), nullable=True),
    sa.Column('types', postgresql.ARRAY(sa.Text()), nullable=True),
    sa.Column('fingerprint', sa.String(), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('next_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_run_id', sa.Uuid(), nullable=True),
    sa.Column('problem', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['last_run_id'], ['runs.id'], name=op.f('fk_schedules_last_run_id_runs'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_schedules')),
    sa.UniqueConstraint('entry_id', name=op.f('uq_schedules_entry_id'))
    )
    op.create_index('ix_schedules_due', 'schedules', ['next_at'], unique=False, postgresql_where=sa.text('enabled'))
    op.create_table('schedule_events',
    sa.Column('schedule_id', sa.Uuid(), nullable=False),
    sa.Column('event_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Enum('PENDING', 'TAKEN', 'DROPPED', name='scheduleeventstate', native_enum=False, length=16), nullable=False),
    sa.ForeignKeyConstraint(['event_id'], ['events.id'], name=op.f('fk_schedule_events_event_id_events'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['schedule_id'], ['schedules.id'], name=op.f('fk_schedule_events_schedule_id_schedules'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('schedule_id', 'event_id', name=op.f('pk_schedule_events'))
    )
    op.create_index(op.f('ix_schedule_events_event_id'), 'schedule_events', ['event_id'], unique=False)
    op.create_index('ix_schedule_events_pending', 'schedule_events', ['schedule_id'], unique=False, postgresql_where=sa.text("state = 'PENDING'"))


def downgrade() -> None:
    op.drop_index('ix_schedule_events_pending', table_name='schedule_events', postgresql_where=sa.text("state = 'PENDING'"))
    op.drop_index(op.f('ix_schedule_events_event_id'), table_name='schedule_events')
    op.drop_table('schedule_events')
    op.drop_index('ix_schedules_due', table_name='schedules', postgresql_where=sa.text('enabled'))
    op.drop_table('schedules')
