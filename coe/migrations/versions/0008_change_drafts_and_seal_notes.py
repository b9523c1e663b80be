"""Store tests, their results and sealed notes with versions; let drafts be changed and deleted.

The columns `changelog` and `comment` in clear stay for rows of earlier releases, until loading the
content has sealed them.

Revision: 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

ORIGIN = 'fk_template_origins_flow_version_id_entry_versions'


def upgrade() -> None:
    for name in ('changelog_sealed', 'tests_sealed', 'evidence_sealed', 'submission_sealed'):
        op.add_column('entry_versions', sa.Column(name, sa.LargeBinary(), nullable=True))
    op.add_column('entry_versions', sa.Column('tests_digest', sa.String(), nullable=True))
    op.add_column('entry_versions', sa.Column('edited_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('entry_versions', sa.Column('editors', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False))
    op.create_index('ix_entry_versions_lifecycle', 'entry_versions', ['lifecycle', 'submitted_at'], unique=False)
    op.add_column('version_approvals', sa.Column('comment_sealed', sa.LargeBinary(), nullable=True))
    op.add_column('version_approvals', sa.Column('digest', sa.String(), nullable=True))
    op.alter_column('version_approvals', 'comment', nullable=True)
    op.add_column('template_origins', sa.Column('digest', sa.String(), nullable=True))
    op.execute('UPDATE template_origins SET digest = v.digest FROM entry_versions v WHERE v.id = flow_version_id')
    op.drop_constraint(ORIGIN, 'template_origins', type_='foreignkey')
    op.create_foreign_key(ORIGIN, 'template_origins', 'entry_versions', ['flow_version_id'], ['id'], ondelete='CASCADE')


def downgrade() -> None:
    op.drop_constraint(ORIGIN, 'template_origins', type_='foreignkey')
    op.create_foreign_key(ORIGIN, 'template_origins', 'entry_versions', ['flow_version_id'], ['id'])
    op.drop_column('template_origins', 'digest')
    op.execute("UPDATE version_approvals SET comment = '' WHERE comment IS NULL")
    op.alter_column('version_approvals', 'comment', nullable=False)
    op.drop_column('version_approvals', 'digest')
    op.drop_column('version_approvals', 'comment_sealed')
    op.drop_index('ix_entry_versions_lifecycle', table_name='entry_versions')
    for name in ('editors', 'edited_at', 'tests_digest', 'submission_sealed', 'evidence_sealed', 'tests_sealed', 'changelog_sealed'):
        op.drop_column('entry_versions', name)
