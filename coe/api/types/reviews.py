"""Views of what is in review; inputs and payloads of drafts."""

from __future__ import annotations

import strawberry

from coe.api.graphql.context import Info
from coe.api.graphql.loaders import entry_by_id, live_version_of, notes_of
from coe.api.graphql.nodes import Problem, field, input_type, object_type
from coe.api.graphql.scalars import DateTime, Json
from coe.api.types.entries import CatalogEntry
from coe.api.types.entry_kinds import EntryVersion, entry_view, version_view
from coe.api.types.flow_versions import VersionDiff
from coe.catalog.flows import contents
from coe.catalog.models import EntryKind
from coe.catalog.records import VersionRecord
from coe.errors import Invalid
from coe.errors import Problem as FoundProblem
from coe.review import queries
from coe.review.drafts import DraftChange


@input_type
class ReviewFilter:
    """Which versions in review; every part that is given must hold."""

    waiting_for_me: bool | None = strawberry.field(
        default=None,
        description="Those that the caller may review, has not approved since their submission, "
        "and that need an approval still",
    )
    submitted_by_me: bool | None = strawberry.field(
        default=None, description="Those that the caller wrote or submitted"
    )
    kinds: list[EntryKind] | None = None
    owners: list[str] | None = strawberry.field(default=None, description="Slugs of teams")
    entries: list[str] | None = strawberry.field(
        default=None, description="Refs of entries, without a version"
    )

    def wanted(self) -> queries.ReviewFilter:
        """The input of the query."""
        return queries.ReviewFilter(
            waiting_for_me=bool(self.waiting_for_me),
            submitted_by_me=bool(self.submitted_by_me),
            kinds=tuple(self.kinds or ()),
            owners=tuple(self.owners or ()),
            entries=tuple(each.partition("@")[0] for each in self.entries or ()),
        )


@object_type
class Review:
    """A version that is in review, with what its reviewers need."""

    record: strawberry.Private[VersionRecord]
    version: EntryVersion = strawberry.field(
        description="The version, with its problems, tests and approvals",
    )
    submitted_by: str | None
    submitted_at: DateTime | None

    @classmethod
    def of(cls, record: VersionRecord) -> Review:
        """The view of a version in review."""
        return cls(
            record=record,
            version=version_view(record),
            submitted_by=record.submitted_by,
            submitted_at=DateTime(record.submitted_at) if record.submitted_at else None,
        )

    @field
    async def entry(self, info: Info) -> CatalogEntry:
        """The entry of the version."""
        return entry_view(await info.context.load_existing(entry_by_id, self.record.entry_id))

    @field
    async def comment(self, info: Info) -> str | None:
        """What its author wrote to the reviewers."""
        notes = await info.context.load(notes_of, self.record.id)
        return notes.submission_comment if notes else None

    @field
    async def live(self, info: Info) -> str | None:
        """The exact version that `live` names now; null for the first version of an entry."""
        live = await info.context.load(live_version_of, self.record)
        return live.version if live else None

    @field
    async def diff(self, info: Info) -> VersionDiff | None:
        """The differences from the live version, for callers; of a flow that has another one."""
        live = await info.context.load(live_version_of, self.record)
        if live is None or self.record.kind is not EntryKind.FLOW:
            return None
        async with info.context.read() as read:
            change = await contents.diff(read, self.record.id, live.version)
        return VersionDiff.of(change) if change else None

    @field
    async def unified_diff(self, info: Info) -> str:
        """What differs from the live version as text, in all its files and its tests."""
        async with info.context.read() as read:
            return await queries.unified_diff(read, self.record)


@input_type
class UpdateDraftInput:
    """A draft, and what changes in it; what is null stays as it is."""

    ref: str = strawberry.field(description="Ref with an exact version")
    manifest: str | None = strawberry.field(
        default=None, description="The document of a flow or a decision table"
    )
    files: Json | None = strawberry.field(
        default=None, description="The files of a template as one object, path to text"
    )
    tests: str | None = strawberry.field(
        default=None,
        description="The text of the tests of a flow or a table; an empty text removes them",
    )
    changelog: str | None = None
    digest: str | None = strawberry.field(
        default=None,
        description="The digest of the draft as it was read: if it was changed since, CONFLICT",
    )
    client_mutation_id: str | None = None

    def change(self) -> DraftChange:
        """The input of the verb."""
        files = None if self.files is None else texts_of(self.files)
        return DraftChange(self.manifest, files, self.tests, self.changelog, self.digest)


@input_type
class DeleteDraftInput:
    """The draft to delete."""

    ref: str = strawberry.field(description="Ref with an exact version")
    client_mutation_id: str | None = None


@object_type
class DraftPayload:
    """The entry and the draft after the change, or the problems."""

    entry: CatalogEntry | None
    version: EntryVersion | None
    problems: list[Problem]


@object_type
class DeleteDraftPayload:
    """What was deleted, or the problems."""

    deleted: str | None = strawberry.field(description="The ref of the deleted version")
    entry: CatalogEntry | None = strawberry.field(
        description="Its entry; null if that had no other version, so that it is gone too",
    )
    problems: list[Problem]


def texts_of(files: Json) -> dict[str, str]:
    """The files as text by path.

    Raises:
        Invalid: They are anything else.
    """
    if isinstance(files, dict) and all(
        isinstance(path, str) and isinstance(text, str) for path, text in files.items()
    ):
        return files
    message = "`files` is one object: each name is the path of a file, each value its text"
    raise Invalid([FoundProblem("INPUT_FILES", message, path="/files")])
