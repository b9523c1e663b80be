"""Keep which entries change, for the index of the search that each process has.

It only adds: processes of the release before go on, and their changes are kept too.

Revision: 0033.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0033'
kind = 'expand'


def upgrade() -> None:
    op.create_table(
        'entry_changes',
        sa.Column('number', sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column('entry_id', sa.Uuid(), nullable=False),
        sa.Column(
            'xid',
            sa.BigInteger(),
            server_default=sa.text('(pg_current_xact_id()::text)::bigint'),
            nullable=False,
        ),
        sa.Column(
            'at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False
        ),
        sa.PrimaryKeyConstraint('number', name=op.f('pk_entry_changes')),
    )
    op.create_index(op.f('ix_entry_changes_xid'), 'entry_changes', ['xid'], unique=False)
    op.execute("""
        CREATE FUNCTION entry_changed() RETURNS trigger LANGUAGE plpgsql
        SECURITY DEFINER SET search_path = public, pg_temp AS $$
        BEGIN
          IF TG_TABLE_NAME = 'entries' THEN
            INSERT INTO entry_changes (entry_id) VALUES (coalesce(NEW.id, OLD.id));
          ELSE
            INSERT INTO entry_changes (entry_id) VALUES (coalesce(NEW.entry_id, OLD.entry_id));
          END IF;
          RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER entries_change AFTER INSERT OR DELETE OR UPDATE ON entries
        FOR EACH ROW EXECUTE FUNCTION entry_changed()
    """)
    op.execute("""
        CREATE TRIGGER entry_versions_change AFTER INSERT OR DELETE
        OR UPDATE OF lifecycle, data_class, team, card, created_by, editors ON entry_versions
        FOR EACH ROW EXECUTE FUNCTION entry_changed()
    """)
