"""The environment of Alembic; coe.migrations.run passes the connection."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from coe.db import load_models

load_models()
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    compare_type=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
