"""Keep the signature of the policy's version, and the digests of the members of each team.

Both are nullable, so processes of the earlier version go on. `coe content load` signs what the files say;
what is not from the files is signed when the operator accepts it.

Revision: 0023, after 0022.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('teams', sa.Column('members_digest', sa.String(), nullable=True))
    op.add_column('policy_state', sa.Column('signature', sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column('policy_state', 'signature')
    op.drop_column('teams', 'members_digest')
