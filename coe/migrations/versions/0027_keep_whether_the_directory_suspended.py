"""Keep whether the directory suspended a person; drop what is not read: e-mails, wrong codes.

Suspensions so far count as ordered by somebody here: the directory does not lift them. Wrong codes
of workers are counted in `rate_limits` from now on.

Revision: 0027, after 0026.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0027'
down_revision = '0026'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('people', sa.Column('suspended_by', sa.String(), nullable=True))
    op.drop_column('people', 'email_sealed')
    op.drop_table('failed_enrolments')


def downgrade() -> None:
    op.create_table(
        'failed_enrolments',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('address', sa.String(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_failed_enrolments')),
    )
    op.create_index(op.f('ix_failed_enrolments_address_at'), 'failed_enrolments', ['address', 'at'])
    op.add_column('people', sa.Column('email_sealed', sa.LargeBinary(), nullable=True))
    op.drop_column('people', 'suspended_by')
