"""Store events, subscriptions and deliveries.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('events',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('arrival', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('name', sa.LargeBinary(), nullable=False),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('event_id', sa.String(), nullable=False),
    sa.Column('type', sa.String(), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('keep_until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('sent_by', sa.String(), nullable=False),
    sa.Column('requester', sa.String(), nullable=False),
    sa.Column('correlation_id', sa.String(), nullable=True),
    sa.Column('reach', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('payload_sealed', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_events')),
    sa.UniqueConstraint('name', name=op.f('uq_events_name'))
    )
    op.create_index(op.f('ix_events_keep_until'), 'events', ['keep_until'], unique=False)
    op.create_index(op.f('ix_events_type_received_at'), 'events', ['type', 'received_at'], unique=False)
    op.create_table('event_deliveries',
    sa.Column('event_id', sa.Uuid(), nullable=False),
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('started', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['event_id'], ['events.id'], name=op.f('fk_event_deliveries_event_id_events'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_event_deliveries_run_id_runs'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('event_id', 'run_id', name=op.f('pk_event_deliveries'))
    )
    op.create_index(op.f('ix_event_deliveries_run_id'), 'event_deliveries', ['run_id'], unique=False)
    op.create_table('event_subscriptions',
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('type', sa.String(), nullable=False),
    sa.Column('team', sa.String(), nullable=False),
    sa.Column('data_class', sa.String(), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('caught_up', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_event_subscriptions_run_id_runs'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'type', name=op.f('pk_event_subscriptions'))
    )
    op.create_index(op.f('ix_event_subscriptions_type'), 'event_subscriptions', ['type'], unique=False, postgresql_where=sa.text('active'))
    op.add_column('run_inbox', sa.Column('event_id', sa.Uuid(), nullable=True))
    op.alter_column('run_inbox', 'payload_sealed',
               existing_type=postgresql.BYTEA(),
               nullable=True)
    op.create_index(op.f('ix_run_inbox_event_id'), 'run_inbox', ['event_id'], unique=False)
    op.create_foreign_key(op.f('fk_run_inbox_event_id_events'), 'run_inbox', 'events', ['event_id'], ['id'])


def downgrade() -> None:
    op.drop_constraint(op.f('fk_run_inbox_event_id_events'), 'run_inbox', type_='foreignkey')
    op.drop_index(op.f('ix_run_inbox_event_id'), table_name='run_inbox')
    op.alter_column('run_inbox', 'payload_sealed',
               existing_type=postgresql.BYTEA(),
               nullable=False)
    op.drop_column('run_inbox', 'event_id')
    op.drop_index(op.f('ix_event_subscriptions_type'), table_name='event_subscriptions', postgresql_where=sa.text('active'))
    op.drop_table('event_subscriptions')
    op.drop_index(op.f('ix_event_deliveries_run_id'), table_name='event_deliveries')
    op.drop_table('event_deliveries')
    op.drop_index(op.f('ix_events_type_received_at'), table_name='events')
    op.drop_index(op.f('ix_events_keep_until'), table_name='events')
    op.drop_table('events')
