"""What the language and the standards say of a flow's document, given what the catalog knows."""

from __future__ import annotations

from coe.catalog.documents import FlowDocument
from coe.catalog.models import EntryKind
from coe.errors import Problem
from coe.work import Read


async def check(
    read: Read,
    document: FlowDocument,
    *,
    publishing: bool = False,
) -> tuple[Problem, ...]:
    """Every problem of a document that could be read.

    Flows that it calls are looked for among those that the actor may read and those that have a
    published version: a published flow is an offer to all teams.

    Args:
        read: Who asks, and where.
        document: The document.
        publishing: Also ask what only a publication must fulfil.
    """
    return ()


async def approvals_needed(read: Read, kind: EntryKind) -> int:
    return 1
