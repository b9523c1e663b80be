"""Admit only rows with a code into the audit log, and elect its sealer by a row.

Revision: 0021, after 0020.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None

TEXTS = (
    'actor', 'actor_kind', 'action', 'resource', 'team', 'outcome', 'rule', 'correlation_id',
    'request_id', 'address',
)
CONTENT = (
    'id', 'at', *TEXTS, 'reason_sealed', 'reason_digest', 'detail_sealed', 'detail_digest', 'xid',
)
ADDED = ('written_at', 'mac', 'stored_at')


def refuse_changes(columns: tuple[str, ...]) -> None:
    """Refuse changes of these columns, and every change of a sealed row."""
    old, new = (', '.join(f'{side}.{name}' for name in columns) for side in ('OLD', 'NEW'))
    op.execute(
        'CREATE OR REPLACE TRIGGER audit_events_refuse_update BEFORE UPDATE ON audit_events'
        f' FOR EACH ROW WHEN (OLD.position IS NOT NULL OR ROW({old}) IS DISTINCT FROM ROW({new}))'
        ' EXECUTE FUNCTION audit_refuse()'
    )


def upgrade() -> None:
    for name, kind in (
        ('written_at', sa.DateTime(timezone=True)),
        ('mac', sa.LargeBinary()),
        ('stored_at', sa.DateTime(timezone=True)),
        ('refused', sa.Text()),
    ):
        op.add_column('audit_events', sa.Column(name, kind, nullable=True))
    op.add_column('audit_checkpoints', sa.Column('fence', sa.BigInteger(), nullable=True))
    op.create_table(
        'audit_sealer',
        sa.Column('id', sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column('holder', sa.Text(), nullable=False),
        sa.Column('fence', sa.BigInteger(), nullable=False),
        sa.Column('until', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_sealer')),
    )
    op.create_index(
        'ix_audit_events_waiting',
        'audit_events',
        ['xid', 'id'],
        postgresql_where=sa.text('position IS NULL AND refused IS NULL'),
    )
    op.create_index(
        'ix_audit_events_refused',
        'audit_events',
        ['id'],
        postgresql_where=sa.text('refused IS NOT NULL'),
    )
    op.drop_index('ix_audit_events_unsealed', table_name='audit_events')
    sizes = ', '.join(f'octet_length(NEW.{name})' for name in TEXTS)
    op.execute(f"""
        CREATE OR REPLACE FUNCTION audit_accept() RETURNS trigger LANGUAGE plpgsql
        SET search_path = pg_catalog AS $$
        BEGIN
          IF NEW.position IS NOT NULL OR NEW.leaf_hash IS NOT NULL OR NEW.refused IS NOT NULL
            OR NEW.xid <> pg_current_xact_id() OR NEW.at NOT BETWEEN '1970-01-02' AND '9999-01-01'
            OR greatest({sizes}) > 2000
          THEN
            RAISE EXCEPTION 'this is not how events of the audit log are written'
              USING ERRCODE = 'restrict_violation';
          END IF;
          NEW.stored_at := clock_timestamp();
          IF abs(extract(epoch FROM NEW.written_at - NEW.stored_at)) > 300 THEN
            RAISE EXCEPTION 'by the clock of the process it is %, and by the clock of the database'
              ' %: no event is written while they differ by more than 300 seconds',
              NEW.written_at, NEW.stored_at USING ERRCODE = 'restrict_violation';
          END IF;
          RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE OR REPLACE FUNCTION audit_fence() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF NEW.fence IS DISTINCT FROM (SELECT max(fence) FROM audit_sealer) THEN
            RAISE EXCEPTION 'another sealer of the audit log has taken over'
              USING ERRCODE = 'restrict_violation';
          END IF;
          RETURN NEW;
        END $$
    """)
    op.execute(
        'CREATE OR REPLACE TRIGGER audit_events_accept BEFORE INSERT ON audit_events'
        ' FOR EACH ROW EXECUTE FUNCTION audit_accept()'
    )
    op.execute(
        'CREATE OR REPLACE TRIGGER audit_checkpoints_fence BEFORE INSERT ON audit_checkpoints'
        ' FOR EACH ROW EXECUTE FUNCTION audit_fence()'
    )
    refuse_changes((*CONTENT, *ADDED))
    op.execute(
        "INSERT INTO audit_sealer (id, holder, fence, until) VALUES (1, '', 0, '-infinity')"
    )


def downgrade() -> None:
    refuse_changes(CONTENT)
    op.execute('DROP TRIGGER audit_checkpoints_fence ON audit_checkpoints')
    op.execute('DROP TRIGGER audit_events_accept ON audit_events')
    op.execute('DROP FUNCTION audit_fence')
    op.execute('DROP FUNCTION audit_accept')
    op.create_index(
        'ix_audit_events_unsealed',
        'audit_events',
        ['xid', 'id'],
        postgresql_where=sa.text('position IS NULL'),
    )
    op.drop_index('ix_audit_events_refused', table_name='audit_events')
    op.drop_index('ix_audit_events_waiting', table_name='audit_events')
    op.drop_table('audit_sealer')
    op.drop_column('audit_checkpoints', 'fence')
    for name in ('refused', *reversed(ADDED)):
        op.drop_column('audit_events', name)
