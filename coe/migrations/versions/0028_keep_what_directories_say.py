"""Keep what a directory says of a person, sealed.

Revision: 0028, after 0027.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0028'
down_revision = '0027'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('people', sa.Column('attributes_sealed', sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column('people', 'attributes_sealed')
