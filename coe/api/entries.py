"""What every entry of the catalog shows, and systems."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry

from coe.access.actor import DataClass
from coe.api.context import Info, batch
from coe.api.ids import to_global
from coe.api.nodes import Node, field
from coe.api.scalars import Moment
from coe.api.teams import Team, owner_of
from coe.catalog import queries
from coe.catalog.models import EntryKind, Lifecycle, ReviewVerdict
from coe.catalog.records import EntryRecord, VersionApprovalRecord
from coe.catalog.records import FacetValue as CountedValue
from coe.errors import NotFound

if TYPE_CHECKING:
    from coe.api.decisions import DecisionTableVersion
    from coe.api.flows import FlowVersion
    from coe.api.templates import TemplateVersion


entry_by_id = batch(queries.entries_by_id)
entry_by_ref = batch(queries.entries_by_ref)
version_by_id = batch(queries.versions_by_id)
version_by_selector = batch(queries.resolve_versions)


@strawberry.interface(description="A thing of the catalog")
class CatalogEntry:
    """A thing of the catalog; every type that is one is made from its row by `of`."""

    row: strawberry.Private[EntryRecord]
    id: strawberry.ID
    kind: EntryKind
    ref: str
    title: str
    summary: str
    tags: list[str]
    lifecycle: Lifecycle
    updated_at: Moment

    @classmethod
    def of(cls, row: EntryRecord) -> Self:
        """The view of an entry's row."""
        return cls(
            row=row,
            id=strawberry.ID(to_global(cls.__name__, row.id)),
            kind=row.kind,
            ref=row.ref,
            title=row.title,
            summary=row.summary,
            tags=list(row.tags),
            lifecycle=row.lifecycle,
            updated_at=Moment(row.updated_at),
            **cls._more(row),
        )

    @classmethod
    def _more(cls, row: EntryRecord) -> dict[str, Any]:  # noqa: ARG003  # for types that add fields
        return {}

    @field
    async def owner(self, info: Info) -> Team:
        """The team that owns the entry."""
        return await owner_of(info, self.row.team)


@strawberry.type(description="An application that flows use")
class System(CatalogEntry, Node):
    """An application that flows use."""

    version: str | None
    data_class: DataClass

    @classmethod
    def _more(cls, row: EntryRecord) -> dict[str, Any]:
        return {"version": row.current_version, "data_class": row.data_class}


@strawberry.type(description="A reviewer's decision on a version, or a person's on a human task")
class Approval:
    """One person's decision."""

    by: str
    at: Moment
    decision: str
    comment: str | None

    @classmethod
    def of(cls, by: str, at: datetime, decision: str, comment: str | None) -> Approval:
        """The view of a decision."""
        return cls(by=by, at=Moment(at), decision=decision, comment=comment)

    @classmethod
    def of_review(cls, row: VersionApprovalRecord) -> Approval:
        """The view of a review."""
        decision: ReviewVerdict = row.decision
        return cls.of(row.by, row.at, decision.value, row.comment)


@strawberry.type(description="One value of a facet, and how many entries have it")
class FacetValue:
    """One value of a facet."""

    value: str
    count: int

    @classmethod
    def of(cls, row: CountedValue) -> FacetValue:
        """The view of a counted value."""
        return cls(value=row.value, count=row.count)


EntryVersion = Annotated[
    Annotated["FlowVersion", strawberry.lazy("coe.api.flows")]
    | Annotated["TemplateVersion", strawberry.lazy("coe.api.templates")]
    | Annotated["DecisionTableVersion", strawberry.lazy("coe.api.decisions")],
    strawberry.union(
        "EntryVersion", description="A version of a flow, of a template or of a decision table"
    ),
]


def view_of(row: EntryRecord) -> CatalogEntry:
    """The view of an entry, of the type that its kind asks for.

    Raises:
        NotFound: The API does not show entries of this kind.
    """
    from coe.api.decisions import DecisionTable  # noqa: PLC0415  # they name each other
    from coe.api.flows import Flow  # noqa: PLC0415  # flows and templates name each other
    from coe.api.templates import Template  # noqa: PLC0415  # the same

    match row.kind:
        case EntryKind.FLOW:
            return Flow.of(row)
        case EntryKind.TEMPLATE:
            return Template.of(row)
        case EntryKind.SYSTEM:
            return System.of(row)
        case EntryKind.DECISION:
            return DecisionTable.of(row)
    raise NotFound


def selector_of(ref: str | None) -> str | None:
    """The version part of a ref, for `version(ref:)`: a whole ref or its part after the @."""
    if ref is None:
        return None
    name, separator, selector = ref.rpartition("@")
    if separator:
        return selector or None
    return None if "/" in name + selector else selector or None
