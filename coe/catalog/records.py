"""What the catalog's queries and verbs give back: plain, frozen, without a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from coe.access.actor import DataClass
from coe.catalog.models import EntryKind, FlowKind, Lifecycle, ReviewVerdict
from coe.catalog.tables import ENTRIES, VERSION_APPROVALS, VERSIONS
from coe.db.records import Columns
from coe.errors import Problem
from coe.json_types import JSON


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """An entry with the card of its current version; `team` is a slug, `systems` are refs."""

    id: UUID
    kind: EntryKind
    flow_kind: FlowKind | None
    namespace: str
    name: str
    team: str
    title: str
    summary: str
    tags: tuple[str, ...]
    systems: tuple[str, ...]
    domain: str | None
    data_class: DataClass
    process_owner: str | None
    deputy: str | None
    lifecycle: Lifecycle
    current_version: str | None
    current_version_id: UUID | None
    uses: int
    created_at: datetime
    updated_at: datetime

    @property
    def ref(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A version without its sealed parts; `digest` in hex, `signature` in base64."""

    id: UUID
    entry_id: UUID
    kind: EntryKind
    flow_kind: FlowKind | None
    namespace: str
    name: str
    team: str
    data_class: DataClass
    version: str
    lifecycle: Lifecycle
    digest: str
    signature: str
    engine: str | None
    changelog: str | None
    created_at: datetime
    created_by: str
    submitted_at: datetime | None
    submitted_by: str | None
    published_at: datetime | None
    published_by: str | None

    @property
    def entry_ref(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def ref(self) -> str:
        """`namespace/name@version`."""
        return f"{self.namespace}/{self.name}@{self.version}"


ENTRY_COLUMNS: Final = Columns(EntryRecord, ENTRIES)
VERSION_COLUMNS: Final = Columns(VersionRecord, VERSIONS)


@dataclass(frozen=True, slots=True)
class FlowContent:
    """The opened parts of a flow's version; `definition` is the document as it was sent."""

    definition: str
    input_schema: JSON
    output_schema: JSON
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class VersionApprovalRecord:
    """One reviewer's decision on a version."""

    by: str
    at: datetime
    decision: ReviewVerdict
    comment: str


APPROVAL_COLUMNS: Final = Columns(VersionApprovalRecord, VERSION_APPROVALS)


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a facet, and how many entries have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """Counts by one property, over what matches all filters but this property's own."""

    name: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry found; `highlights` are HTML-escaped fragments with the match in <mark>."""

    entry: EntryRecord
    cursor: str
    score: float | None
    highlights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hits:
    """A page of found entries, with the counts over all that matches."""

    hits: tuple[Hit, ...]
    has_next: bool
    has_previous: bool
    total: int
    facets: tuple[Facet, ...]


@dataclass(frozen=True, slots=True)
class SavedVersion:
    """A version in the catalog, its entry, and the warnings; `created` is false if it was there."""

    entry: EntryRecord
    version: VersionRecord
    problems: tuple[Problem, ...]
    created: bool


@dataclass(frozen=True, slots=True)
class ChangedVersion:
    """A version after a move of its lifecycle, or an alias after it was set."""

    entry: EntryRecord
    version: VersionRecord


@dataclass(frozen=True, slots=True)
class VersionChange:
    """What differs between two versions of one flow; `asks` is the least step of semver due."""

    unified: str
    breaking: bool
    changes: tuple[Problem, ...]
    asks: Literal["major", "minor", "patch", "none"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a registration would save and what stands in its way; `diff` is against `live`."""

    definition: str
    digest: str
    problems: tuple[Problem, ...]
    diagram: str
    diff: VersionChange | None


@dataclass(frozen=True, slots=True)
class RunnableFlow:
    """A flow's version that may start a run, opened and checked against its digest."""

    entry: EntryRecord
    version: VersionRecord
    definition: str
    input_schema: JSON
    output_schema: JSON
    entrypoint: str | None
    timeout: str | None
