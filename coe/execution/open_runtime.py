"""Open a runtime with its real parts: expression workers, and what leaves need for I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from sqlalchemy import select

from coe.audit.events import AuditOutcome, Tag
from coe.audit.log import append
from coe.channels import check_at_start
from coe.execution.runtime import Runtime
from coe.formats import uuids
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.leaves.decision import DECISION_KIND, decision_handler
from coe.leaves.leaf import AddressRefused, LeafHandler, LeafIO
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
async def open_runtime(
    platform: Platform,
    *,
    secrets: Mapping[str, JSON] | None = None,
    handlers: Mapping[str, LeafHandler] | None = None,
) -> AsyncIterator[Runtime]:
    """A started runtime, closed at the end; runs that it still holds then go on elsewhere.

    `secrets` are those that definitions may declare, by default those of the secrets file;
    `handlers` replace or add to the handlers of kinds of leaves.
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
            perform=partial(_perform, platform, io),
            evaluate=expressions.evaluate,
            secrets=SecretStore(settings.secrets_file).of if secrets is None else secrets,
        )
        await runtime.start()
        try:
            yield runtime
        finally:
            await runtime.close()


async def _perform(platform: Platform, io: LeafIO, command: RunLeaf) -> JSON:
    """Carry out a leaf; what the network policy refuses is recorded too."""
    try:
        return await run_leaf(command, io)
    except AddressRefused as refused:
        await _record(platform, command, refused)
        raise


async def _record(platform: Platform, command: RunLeaf, refused: AddressRefused) -> None:
    """Record that a leaf was refused: once, unless the process dies in between."""
    async with platform.database.session() as session:
        mine = RUNS.c.id == uuids.read(command.run)
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
