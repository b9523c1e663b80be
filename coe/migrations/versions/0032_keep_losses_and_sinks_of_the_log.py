"""Keep losses of the audit log, the places that keep its checkpoints, and what is backed up.

Revision: 0032.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0032'
kind = 'expand'


def upgrade() -> None:
    op.create_table(
        'audit_losses',
        sa.Column('id', sa.Uuid(), nullable=False),
        sa.Column('found_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('kept_size', sa.BigInteger(), nullable=False),
        sa.Column('kept_root', sa.LargeBinary(), nullable=False),
        sa.Column('lost_size', sa.BigInteger(), nullable=False),
        sa.Column('lost_note', sa.Text(), nullable=False),
        sa.Column('proposed_by', sa.Text(), nullable=True),
        sa.Column('proposer_persons', postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column('proposed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('approved_by', sa.Text(), nullable=True),
        sa.Column('approver_persons', postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('code', sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_losses')),
    )
    op.create_table(
        'audit_sinks',
        sa.Column('name', sa.Text(), nullable=False),
        sa.Column('kind', sa.Text(), nullable=False),
        sa.Column('added_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('epoch', sa.SmallInteger(), nullable=False),
        sa.Column('tree_size', sa.BigInteger(), nullable=False),
        sa.Column('note', sa.Text(), nullable=True),
        sa.Column('kept_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('error', sa.Text(), nullable=True),
        sa.Column('failing_since', sa.DateTime(timezone=True), nullable=True),
        sa.Column('code', sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint('name', name=op.f('pk_audit_sinks')),
    )
    op.create_table(
        'backups',
        sa.Column('label', sa.Text(), nullable=False),
        sa.Column('taken_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('kept_until', sa.DateTime(timezone=True), nullable=False),
        sa.Column('kek_ids', postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint('label', name=op.f('pk_backups')),
    )
