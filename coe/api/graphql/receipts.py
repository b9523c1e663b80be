"""Receipts of changes to the catalog, and the records from which their payloads are rebuilt."""

from __future__ import annotations

from coe.api.graphql.context import Context
from coe.api.graphql.loaders import entry_by_id, version_by_id
from coe.api.graphql.nodes import Problem
from coe.catalog.records import ChangedVersion, EntryRecord, SavedVersion, VersionRecord
from coe.idempotency import Receipt


def receipt_of(result: SavedVersion | ChangedVersion) -> Receipt:
    """The receipt of a version that was saved or changed."""
    values = {"entry": str(result.entry.id), "version": str(result.version.id)}
    return Receipt({**values}, result.problems)


async def records_of(
    context: Context, receipt: Receipt
) -> tuple[EntryRecord | None, VersionRecord | None, list[Problem]]:
    """The entry and the version that a receipt names, as they are now, and its problems."""
    entry_id, version_id = receipt.id("entry"), receipt.id("version")
    entry = await context.load(entry_by_id, entry_id) if entry_id else None
    version = await context.load(version_by_id, version_id) if version_id else None
    return entry, version, Problem.all_of(receipt.problems)
