"""A log under test: a way to write, a way to seal, and a way to attack it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from coe.audit.admission import Admission
from coe.audit.events import AuditOutcome, Tag
from coe.audit.lease import SealerLease
from coe.audit.log import NewEvent, append
from coe.audit.models import AuditEvent
from coe.audit.sealer import LogSealer
from coe.audit.signed_file import SignedFile
from coe.crypto.keys import Keyring
from coe.crypto.signing import SigningKey
from coe.db import Database, utcnow
from tests.factories.keys import keyring_of, signing_key

AUDIT = AuditEvent.metadata.tables["audit_events"]
FLOW = "flow:sales/order-to-cash"


def event(number: int = 0, **changes: Any) -> NewEvent:
    values: dict[str, Any] = {
        "at": utcnow(),
        "actor": "sales-owner",
        "actor_kind": "PERSON",
        "action": Tag.CATALOG_FLOW_PUBLISH,
        "resource": f"{FLOW}@1.{number}.0",
        "team": "sales",
        "rule": "p, process-owner, *, flow:publish, *, allow",
        "reason": f"Frau Winterstein asked for it, {number}",
        "request_id": f"request-{number}",
        "correlation_id": f"order-{number}",
        "address": "127.0.0.1",
        "detail": {"before": None, "after": {"customer": "Annegret Winterstein"}},
        "outcome": AuditOutcome.ALLOWED,
    }
    return NewEvent(**(values | changes))


@dataclass
class Log:
    database: Database
    keyring: Keyring
    signer: SigningKey
    file: Path

    @property
    def admission(self) -> Admission:
        return Admission(self.keyring.macs)

    def sealer(self, holder: str = "test", **options: int) -> LogSealer:
        lease = SealerLease(holder)
        return LogSealer(
            self.database, self.signer, self.file, self.admission, lease=lease, **options
        )

    @property
    def signed(self) -> Path:
        return SignedFile(self.file).path

    async def write(self, *events: NewEvent) -> list[UUID]:
        async with self.database.session() as session:
            ids = [await append(session, self.keyring, one) for one in events]
            await session.commit()
        return ids

    async def seal(self) -> None:
        sealer = self.sealer()
        while await sealer.seal_once():
            pass

    async def fill(self, *sizes: int) -> None:
        """Write events and seal them; a checkpoint at each size."""
        for number, size in enumerate(sizes):
            await self.write(*(event(n) for n in range([0, *sizes][number], size)))
            await self.seal()

    async def rows(self, query: str, **values: object) -> list[tuple[object, ...]]:
        async with self.database.session() as session:
            return [tuple(row) for row in await session.execute(text(query), values)]

    async def attack(self, *statements: str) -> None:
        """Do what a database administrator can: switch the triggers off and change rows."""
        async with self.database.session() as session:
            await session.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in statements:
                await session.execute(text(statement))
            await session.commit()


def cut_to(size: int, events: str = "DELETE FROM audit_events") -> list[str]:
    """Statements that cut a log back to a size at which it had a checkpoint."""
    return [
        f"{events} WHERE position >= {size}",
        f"DELETE FROM audit_checkpoints WHERE tree_size > {size}",
        f'DELETE FROM audit_nodes WHERE ("offset" + 1) << level > {size}',
    ]


def open_log(database: Database, folder: Path) -> Log:
    """A log over a fresh database, with its own keys and checkpoint file."""
    return Log(
        database, keyring_of(database, folder / "kek"), signing_key(), folder / "checkpoints"
    )
