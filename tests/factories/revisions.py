"""Revisions of tests: files in a folder of the test."""

from __future__ import annotations

from pathlib import Path

from coe.migrations.revisions import Revision, load

HEADER = '''"""{title}."""
from alembic import op
from coe.migrations.online import Backfill, OnlineIndex, Validation

revision = '{name}'
kind = '{kind}'
'''


def plant(
    folder: Path, name: str, upgrade: str = "", *, kind: str = "expand", more: str = ""
) -> None:
    """Write a revision whose `upgrade` executes a statement."""
    text = HEADER.format(title=f"Do {name}", name=name, kind=kind) + more
    if upgrade:
        text += f"\n\ndef upgrade():\n    op.execute({upgrade!r})\n"
    (folder / f"{name}_planted.py").write_text(text)
    load.cache_clear()


def line(folder: Path) -> tuple[Revision, ...]:
    """The revisions of the folder."""
    return load(folder)
