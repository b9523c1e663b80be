"""Keep the groups of a directory, and who is in them.

Revision: 0026, after 0025.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'scim_groups',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('external_id', sa.String(), nullable=True),
        sa.Column('display_name', sa.String(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_scim_groups')),
    )
    op.create_index(op.f('ix_scim_groups_display_name'), 'scim_groups', ['display_name'])
    op.create_table(
        'scim_group_members',
        sa.Column('group_id', sa.Uuid(), nullable=False),
        sa.Column('person_id', sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ['group_id'],
            ['scim_groups.id'],
            name=op.f('fk_scim_group_members_group_id_scim_groups'),
            ondelete='CASCADE',
        ),
        sa.PrimaryKeyConstraint('group_id', 'person_id', name=op.f('pk_scim_group_members')),
    )
    op.create_index(op.f('ix_scim_group_members_person_id'), 'scim_group_members', ['person_id'])


def downgrade() -> None:
    op.drop_table('scim_group_members')
    op.drop_table('scim_groups')
