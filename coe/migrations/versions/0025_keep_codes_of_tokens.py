"""Keep codes of tokens, made with a key outside the database; revoke the tokens of before.

The old hashes are no codes of the new key, and the platform does not know the texts: the tokens have
to be issued again. New columns are nullable.

Revision: 0025, after 0024.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('access_tokens', sa.Column('team', sa.String(), nullable=True))
    op.add_column('access_tokens', sa.Column('parent_id', sa.Uuid(), nullable=True))
    op.add_column('access_tokens', sa.Column('maker', sa.String(), nullable=True))
    op.add_column('access_tokens', sa.Column('mac', sa.LargeBinary(), nullable=True))
    op.add_column(
        'access_tokens', sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column('access_tokens', sa.Column('last_address', sa.String(), nullable=True))
    op.create_foreign_key(
        op.f('fk_access_tokens_parent_id_access_tokens'),
        'access_tokens',
        'access_tokens',
        ['parent_id'],
        ['id'],
    )
    op.create_index(op.f('ix_access_tokens_parent_id'), 'access_tokens', ['parent_id'])
    op.create_index(op.f('ix_access_tokens_created_by'), 'access_tokens', ['created_by'])
    op.execute('UPDATE access_tokens SET revoked_at = clock_timestamp() WHERE revoked_at IS NULL')


def downgrade() -> None:
    op.drop_index(op.f('ix_access_tokens_created_by'), table_name='access_tokens')
    op.drop_index(op.f('ix_access_tokens_parent_id'), table_name='access_tokens')
    op.drop_constraint(
        op.f('fk_access_tokens_parent_id_access_tokens'), 'access_tokens', type_='foreignkey'
    )
    op.drop_column('access_tokens', 'last_address')
    op.drop_column('access_tokens', 'last_used_at')
    op.drop_column('access_tokens', 'mac')
    op.drop_column('access_tokens', 'maker')
    op.drop_column('access_tokens', 'parent_id')
    op.drop_column('access_tokens', 'team')
