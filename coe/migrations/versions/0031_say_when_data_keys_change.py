"""Say when data keys change, so that processes drop those that they have opened.

Revision: 0031, after 0030.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0031'
down_revision = '0030'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'data_key_changes',
        sa.Column('id', sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column('number', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_data_key_changes')),
    )
    op.execute("INSERT INTO data_key_changes (id, number) VALUES (1, 0)")
    op.execute("""
        CREATE FUNCTION data_keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          UPDATE data_key_changes SET number = number + 1;
          RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER data_keys_change AFTER DELETE OR TRUNCATE OR UPDATE OF wrapped, kek_id
        ON data_keys FOR EACH STATEMENT EXECUTE FUNCTION data_keys_changed()
    """)


def downgrade() -> None:
    op.execute('DROP TRIGGER data_keys_change ON data_keys')
    op.execute('DROP FUNCTION data_keys_changed()')
    op.drop_table('data_key_changes')
