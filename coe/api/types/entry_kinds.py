"""Views of entries and versions by the kind of the entry."""

from __future__ import annotations

from typing import Annotated

import strawberry

from coe.api.types.decisions import DecisionTable, DecisionTableVersion
from coe.api.types.entries import CatalogEntry, System
from coe.api.types.flow_versions import FlowVersion
from coe.api.types.flows import Flow
from coe.api.types.templates import Template, TemplateVersion
from coe.catalog.models import EntryKind
from coe.catalog.records import EntryRecord, VersionRecord
from coe.errors import NotFound

EntryVersion = Annotated[
    FlowVersion | TemplateVersion | DecisionTableVersion,
    strawberry.union(
        "EntryVersion", description="A version of a flow, of a template or of a decision table"
    ),
]

VERSION_KINDS = frozenset({EntryKind.DECISION, EntryKind.FLOW, EntryKind.TEMPLATE})
"""The kinds whose versions the API shows."""

_ENTRIES: dict[EntryKind, type[CatalogEntry]] = {
    EntryKind.DECISION: DecisionTable,
    EntryKind.FLOW: Flow,
    EntryKind.SYSTEM: System,
    EntryKind.TEMPLATE: Template,
}


def entry_view(record: EntryRecord) -> CatalogEntry:
    """The view of an entry, of the type of its kind.

    Raises:
        NotFound: The API does not show entries of this kind.
    """
    view = _ENTRIES.get(record.kind)
    if view is None:
        raise NotFound
    return view.of(record)


def version_view(record: VersionRecord) -> FlowVersion | TemplateVersion | DecisionTableVersion:
    """The view of a version, of the type of its entry's kind."""
    match record.kind:
        case EntryKind.FLOW:
            return FlowVersion.of(record)
        case EntryKind.DECISION:
            return DecisionTableVersion.of(record)
        case _:
            return TemplateVersion.of(record)
