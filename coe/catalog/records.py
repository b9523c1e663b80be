"""Results of the catalog's queries and verbs: plain, frozen, without a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from coe.access.actor import DataClass
from coe.access.team_records import TeamRecord
from coe.catalog.models import EntryKind, FlowKind, Lifecycle, ReviewVerdict
from coe.catalog.tables import ENTRIES, VERSION_APPROVALS, VERSIONS
from coe.db.records import Columns, Given
from coe.errors import Problem
from coe.json_types import JSON
from coe.paging import Page
from coe.search.highlights import Highlight


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """An entry as its current version describes it; `team` is a slug, `systems` are refs."""

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
    code: bytes | None
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
    """A version without its sealed parts; `digest` in hex, `signature` in base64.

    `publication` is the canonical JSON that is signed, once it is published.
    """

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
    publication: str | None
    engine: str | None
    tests_digest: str | None
    created_at: datetime
    created_by: str
    edited_at: datetime | None
    editors: tuple[str, ...]
    author_persons: tuple[str, ...]
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
class VersionNotes:
    """What people wrote on a version: what is new, and the author's comment to its reviewers."""

    changelog: str | None
    submission_comment: str | None


@dataclass(frozen=True, slots=True)
class FlowContent:
    """The decrypted parts of a flow's version; `definition` is the document as received."""

    definition: str
    input_schema: JSON
    output_schema: JSON
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class VersionApprovalRecord:
    """One reviewer's decision on a version; `digest` is that of the content that was reviewed."""

    by: str
    at: datetime
    decision: ReviewVerdict
    comment: Annotated[str | None, Given("comment_sealed", "comment")]
    digest: str | None


VERSION_APPROVAL_COLUMNS: Final = Columns(VersionApprovalRecord, VERSION_APPROVALS)


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a facet, and how many entries have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """Counts by one property, of the entries that match the filters on all other properties."""

    name: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry found; `highlights` say in which fields.

    `owner` and `live` are its team and its live version, if they were read with it.
    """

    entry: EntryRecord
    score: float | None
    highlights: tuple[Highlight, ...]
    owner: TeamRecord | None = None
    live: VersionRecord | None = None


@dataclass(frozen=True, slots=True)
class Hits(Page[Hit]):
    """A page of found entries, with counts over all matching entries.

    `note` says how the text was understood, if not as it stands, or why it matches nothing.
    `did_you_mean` is the text with other words, which the entries have. `with_live` is whether the
    live versions were read with the entries.
    """

    facets: tuple[Facet, ...]
    note: str | None = None
    did_you_mean: str | None = None
    with_live: bool = False


@dataclass(frozen=True, slots=True)
class SavedVersion:
    """A saved version, its entry and its warnings.

    `created` is false if the version existed before, `replaced` is true if it was a draft with
    other content.
    """

    entry: EntryRecord
    version: VersionRecord
    problems: tuple[Problem, ...]
    created: bool
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class ChangedVersion:
    """A version after a lifecycle action, or after an alias was set to it; with warnings."""

    entry: EntryRecord
    version: VersionRecord
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionChange:
    """The differences of two versions of a flow; `least_step` is the least step of the version."""

    unified: str
    breaking: bool
    changes: tuple[Problem, ...]
    least_step: Literal["major", "minor", "patch", "none"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a registration would save, and its problems; `diff` is against `live`.

    `ref` has the version that would be saved, and `template` that of which it would be made.
    """

    definition: str
    problems: tuple[Problem, ...]
    digest: str = ""
    diagram: str = ""
    diff: VersionChange | None = None
    ref: str | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class RunnableFlow:
    """A decrypted flow version that can run, checked against its digest and signature."""

    entry: EntryRecord
    version: VersionRecord
    definition: str
    input_schema: JSON
    output_schema: JSON
    entrypoint: str | None
    timeout: str | None
