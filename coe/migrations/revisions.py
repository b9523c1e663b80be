"""The revisions of the schema that this code knows, read from their files.

A file of `versions` says what it is: `revision`, `kind`, and where needed

- `upgrade()`: statements by `alembic.op`, in one transaction; no lock is waited for longer than
  `LOCK_SECONDS`, and no statement takes longer than `seconds`;
- `indexes`, `backfills`, `validations`: what is done after it without holding up anybody, each
  repeatable, so that it goes on after a crash;
- `works_with`, of a contract: the revision that code has to know to work on; by default its own;
- `after`: the contracts without which it cannot be applied.
"""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from coe.db.known_revisions import VERSIONS
from coe.db.revisions import RevisionKind, SchemaState
from coe.errors import CoeError, Conflict
from coe.migrations.online import Backfill, OnlineIndex, Validation

LOCK_SECONDS: Final = 2.0
"""How long a statement waits for a lock: whoever comes after it waits as long."""
STATEMENT_SECONDS: Final = 30.0
"""How long a statement of `upgrade` may take, as it may hold up whoever uses its table."""
_NUMBER: Final = re.compile(r"\d{4}")


class BadRevision(CoeError):
    """A file of a revision does not say what it has to."""

    code = "INVALID"


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision of the schema."""

    name: str
    title: str
    kind: RevisionKind
    works_with: str
    after: tuple[str, ...]
    seconds: float
    upgrade: Callable[[], None]
    indexes: tuple[OnlineIndex, ...]
    backfills: tuple[Backfill, ...]
    validations: tuple[Validation, ...]

    @property
    def online(self) -> bool:
        """Whether something is left to do after `upgrade`."""
        return bool(self.indexes or self.backfills or self.validations)

    def run(self, connection: Connection) -> None:
        """Run `upgrade` in the transaction of a connection, without waiting long for locks."""
        for statement in self._limits():
            connection.exec_driver_sql(statement)
        with Operations.context(MigrationContext.configure(connection)):
            self.upgrade()

    def sql(self) -> str:
        """The statements of the revision, as far as they are known before it runs."""
        buffer = io.StringIO()
        options = {"as_sql": True, "literal_binds": True, "output_buffer": buffer}
        context = MigrationContext.configure(dialect_name="postgresql", opts=options)
        with Operations.context(context):
            self.upgrade()
        lines = ["BEGIN", *self._limits(), buffer.getvalue().strip().removesuffix(";"), "COMMIT"]
        lines += [each.create for each in self.indexes]
        lines += [each.page("…", "…") for each in self.backfills]
        lines += [each.statement for each in self.validations]
        return "".join(f"{line};\n" for line in lines if line)

    def _limits(self) -> tuple[str, str]:
        return (
            lock_limit(),
            f"SET LOCAL statement_timeout = '{self.seconds:g}s'",
        )


def lock_limit() -> str:
    """The statement by which a transaction waits for no lock for long."""
    return f"SET LOCAL lock_timeout = '{LOCK_SECONDS * 1000:.0f}ms'"


@cache
def load(versions: Path = VERSIONS) -> tuple[Revision, ...]:
    """The revisions of a folder, the oldest first.

    Raises:
        BadRevision: A file does not say what it has to.
    """
    files = sorted(versions.glob("[0-9]*.py"))
    return tuple(_revision(file) for file in files)


def needed() -> str:
    """The newest expand of this version: the oldest revision that it works with."""
    return [each.name for each in load() if each.kind is RevisionKind.EXPAND][-1]


def due(revisions: Sequence[Revision], state: SchemaState) -> list[Revision]:
    """The revisions that this code needs and a database lacks, or has not finished."""
    begun = {each.revision for each in state.applied}
    return [
        each
        for each in revisions
        if each.name not in state.finished
        and (each.kind is RevisionKind.EXPAND or each.name in begun)
    ]


def pending(
    revisions: Sequence[Revision], state: SchemaState | None, *, contract: bool
) -> list[Revision]:
    """The revisions to be applied or gone on with, in their order.

    An empty database gets all of them: no process works on it.

    Raises:
        CoeError: A revision needs a contract that is not applied.
    """
    if state is None:
        return list(revisions)
    left = [each for each in revisions if each.name not in state.finished]
    if contract:
        return left
    found = due(revisions, state)
    later = {each.name for each in left} - {each.name for each in found}
    for each in found:
        lacking = sorted(later.intersection(each.after))
        if lacking:
            message = (
                f"revision {each.name} needs {', '.join(lacking)}, which takes away what processes "
                "of an earlier version may use: when none runs, `coe migrate --contract` applies "
                "both. Nothing was changed"
            )
            raise Conflict(message)
    return found


def _revision(file: Path) -> Revision:
    spec = importlib.util.spec_from_file_location(f"coe.migrations.versions.r{file.stem}", file)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018  # a file of Python
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    name = _name(file, module)
    kind = _kind(file, module)
    own = "0000" if kind is RevisionKind.EXPAND else name
    return Revision(
        name=name,
        title=(module.__doc__ or file.stem).strip().splitlines()[0].rstrip("."),
        kind=kind,
        works_with=getattr(module, "works_with", own),
        after=tuple(getattr(module, "after", ())),
        seconds=getattr(module, "seconds", STATEMENT_SECONDS),
        upgrade=getattr(module, "upgrade", _nothing),
        indexes=tuple(getattr(module, "indexes", ())),
        backfills=tuple(getattr(module, "backfills", ())),
        validations=tuple(getattr(module, "validations", ())),
    )


def _name(file: Path, module: ModuleType) -> str:
    name: str = getattr(module, "revision", "")
    if not _NUMBER.fullmatch(name) or not file.name.startswith(f"{name}_"):
        raise BadRevision(f"{file}: `revision` has to be the four digits with which it begins")
    return name


def _kind(file: Path, module: ModuleType) -> RevisionKind:
    try:
        return RevisionKind(getattr(module, "kind", ""))
    except ValueError:
        kinds = " or ".join(f'"{each}"' for each in RevisionKind)
        raise BadRevision(f"{file}: `kind` has to be {kinds}") from None


def _nothing() -> None:
    """A revision without statements of a transaction."""
