"""Store up to which position of the journal the steps of a run are projected.

A row of a step is written under the lock of its run's row, with the fence. A foreign key would cost
a look-up for each row and never find an error.

Revision: 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('runs', sa.Column('steps_told', sa.BigInteger(), nullable=True))
    op.execute('UPDATE runs SET steps_told = journal_length')
    op.alter_column('runs', 'steps_told', nullable=False)
    op.drop_constraint('fk_run_steps_run_id_runs', 'run_steps', type_='foreignkey')


def downgrade() -> None:
    op.create_foreign_key('fk_run_steps_run_id_runs', 'run_steps', 'runs', ['run_id'], ['id'])
    op.drop_column('runs', 'steps_told')
