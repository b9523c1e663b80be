"""A runtime with its real parts: the pool of expression workers, and what leaves reach out with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import select

from coe.audit.events import AuditOutcome, Tag
from coe.audit.log import append
from coe.channels import check_at_start
from coe.execution.runtime import LeafDone, LeafFailed, Perform, Runtime
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.leaves.decision import DECISION_KIND, decision_handler
from coe.leaves.leaf import AddressRefused, LeafFault, LeafHandler, LeafIO
from coe.leaves.notify import notifier_of
from coe.leaves.run import run_leaf
from coe.leaves.transport import open_client
from coe.machine.commands import RunLeaf
from coe.runs.audit import run_event
from coe.runs.records import IDENTITY_COLUMNS
from coe.runs.tables import RUNS
from coe.secrets import SecretStore
from coe.work import Platform


@asynccontextmanager
async def running(
    platform: Platform,
    *,
    secrets: Mapping[str, JSON] | None = None,
    handlers: Mapping[str, LeafHandler] | None = None,
) -> AsyncIterator[Runtime]:
    """A started runtime; at the end its parts are closed, and what it still holds goes elsewhere.

    `secrets` are what definitions may declare, by default those of the settings' file; `handlers`
    carry out leaves in another way than here.
    """
    settings = platform.settings
    check_at_start(settings.channels_file)
    notify = notifier_of(platform)

    async with (
        open_client(settings.ca_file) as client,
        Expressions(workers=settings.expression_workers) as expressions,
    ):
        io = LeafIO(
            client=client,
            resolve=settings.resolve,
            handlers={
                DECISION_KIND: decision_handler(platform),
                "notify": notify,
                **(handlers or {}),
            },
            network=notify.network,
        )
        runtime = Runtime(
            platform,
            perform=performing(io, platform),
            evaluate=expressions.evaluate,
            secrets=SecretStore(settings.secrets_file).of if secrets is None else secrets,
        )
        await runtime.start()
        try:
            yield runtime
        finally:
            await runtime.close()


def performing(io: LeafIO, platform: Platform | None = None) -> Perform:
    """Leaves that reach outside, their faults as values.

    Args:
        io: What they reach out with.
        platform: Where a refusal of the network policy is recorded; without it, it is not.
    """

    async def perform(command: RunLeaf) -> LeafDone | LeafFailed:
        try:
            return LeafDone(await run_leaf(command, io))
        except AddressRefused as refused:
            if platform is not None:
                await _record(platform, command, refused)
            return LeafFailed(refused.error)
        except LeafFault as fault:
            return LeafFailed(fault.error)

    return perform


async def _record(platform: Platform, command: RunLeaf, refused: AddressRefused) -> None:
    """Record that a leaf was refused: once, for it is not carried out again unless we die here."""
    async with platform.database.session() as session:
        mine = RUNS.c.id == UUID(command.run)
        found = await session.execute(select(*IDENTITY_COLUMNS).where(mine))
        event = run_event(
            IDENTITY_COLUMNS.record(found.one()),
            Tag.RUNS_ADDRESS_REFUSE,
            platform.clock(),
            outcome=AuditOutcome.DENIED,
            reason=str(refused.error.get("title")),
            detail={"host": refused.host, "port": refused.port, "step": command.path},
        )
        await append(session, platform.keyring, event)
        await session.commit()
