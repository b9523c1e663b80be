"""Keep the statement that is signed of a publication, and the signatures of reviews.

Both are nullable, so processes of the earlier version go on. `coe content load` signs the publications
so far, as far as the audit log proves them. Reviews so far are not signed: what waits for its
publication is approved again.

Revision: 0020, after 0019.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('entry_versions', sa.Column('publication', sa.String(), nullable=True))
    op.add_column('version_approvals', sa.Column('signature', sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column('version_approvals', 'signature')
    op.drop_column('entry_versions', 'publication')
