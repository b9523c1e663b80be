"""Give defaults to columns that processes of earlier releases do not write.

So they can go on while the new schema stands. An event without a team is of the platform, as those
were that revision 0006 found. A delivery without the name of its event has a name of its own.

Revision: 0012, after 0011.
"""

from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None

DEFAULTS = {
    ('events', 'team'): "'coe'",
    ('event_deliveries', 'name'): 'uuid_send(gen_random_uuid())',
    ('schedule_events', 'name'): 'uuid_send(gen_random_uuid())',
    ('human_tasks', 'reminders'): "'[]'",
    ('runs', 'steps_told'): "'0'",
}


def upgrade() -> None:
    for (table, column), default in DEFAULTS.items():
        op.execute(f'ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {default}')


def downgrade() -> None:
    for table, column in DEFAULTS:
        op.execute(f'ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT')
