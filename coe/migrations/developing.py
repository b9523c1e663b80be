"""Write a revision from what the models say, and compare them with a database (development)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext
from mako.template import Template
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlmodel import SQLModel

from coe.audit.models import Xid8
from coe.db import load_models
from coe.db.known_revisions import VERSIONS
from coe.migrations.run import on

TEMPLATE: Final = Path(__file__).parent / "script.py.mako"


def write_revision(url: str, message: str, name: str, versions: Path = VERSIONS) -> Path:
    """Write a revision from the difference between the models and a migrated database."""

    def compare(connection: Connection) -> str | None:
        found = produce_migrations(_context(connection), SQLModel.metadata)
        assert found.upgrade_ops is not None  # noqa: S101  # it is compared for them
        return render_python_code(found.upgrade_ops)

    text = str(
        Template(filename=str(TEMPLATE)).render(  # noqa: S702  # Python, no HTML
            message=message, name=name, upgrades=on(url, compare)
        )
    )
    file = versions / f"{name}_{'_'.join(message.lower().split())}.py"
    file.write_text(text)
    return file


def differences(url: str) -> list[object]:
    """How a migrated database differs from the models."""
    return on(
        url, lambda connection: list(compare_metadata(_context(connection), SQLModel.metadata))
    )


def _context(connection: Connection) -> MigrationContext:
    load_models()
    ischema_names["xid8"] = Xid8
    return MigrationContext.configure(connection, opts={"compare_type": True})
