"""The Core table of a model: reads of many rows skip the entities."""

from __future__ import annotations

from sqlalchemy import Table
from sqlmodel import SQLModel


def table_of(model: type[SQLModel]) -> Table:
    """The table that a model describes."""
    return SQLModel.metadata.tables[str(model.__tablename__)]
