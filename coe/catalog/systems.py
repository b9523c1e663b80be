"""Systems: the applications that flows use, one YAML file each in `catalog/systems/`.

Saving a system publishes it, without a review: its file is reviewed in its repository.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from coe.access.actor import DataClass
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.flows.manifest import ManifestModel, Semver, SingleLine, SlugName, TagName
from coe.catalog.models import LIVE, EntryKind, EntryVersion, Lifecycle
from coe.catalog.names import check_names
from coe.catalog.records import ENTRY_COLUMNS, VERSION_COLUMNS, SavedVersion
from coe.catalog.search.document import SearchDocument
from coe.catalog.versions.aliases import point_alias
from coe.catalog.versions.current import refresh_entry
from coe.catalog.versions.saving import NewVersion, save_version
from coe.errors import Invalid, errors_in
from coe.language.canonical import digest
from coe.language.documents import validate
from coe.language.names.references import named_by
from coe.language.source import Source, Unreadable, read
from coe.work import Work


class SystemManifest(ManifestModel):
    """An application; `url` is the address that definitions call."""

    kind: Literal["System"]
    namespace: SlugName
    name: SlugName
    version: Semver
    title: SingleLine
    summary: SingleLine
    description: str = ""
    domain: SlugName | None = None
    data_class: DataClass = DataClass.INTERNAL
    tags: list[TagName] = Field(default_factory=list)
    url: str | None = None

    def search_document(self) -> SearchDocument:
        """The description that the catalog shows and searches."""
        return SearchDocument(
            title=self.title,
            summary=self.summary,
            description=self.description,
            tags=tuple(self.tags),
            domain=self.domain,
            data_class=self.data_class,
        )


async def register_system(work: Work, manifest: str) -> SavedVersion:
    """Save and publish a version of a system; content that is already saved changes nothing.

    Raises:
        Invalid: The file has problems.
        Forbidden: `flow:register` in the team of its namespace is refused.
        Conflict: Its version exists with other content.
    """
    system, source = _read(manifest)
    resource = f"system:{system.namespace}/{system.name}@{system.version}"
    decision = work.require(
        Permission.FLOW_REGISTER,
        resource=resource,
        team=system.namespace,
        data_class=system.data_class,
    )
    problems = await check_names(work, source, named_by(source.data), system.namespace)
    if errors_in(problems):
        raise Invalid(problems)
    saving = await save_version(work, _new_version(system, source))
    entry, version, created = saving.entry, saving.version, saving.changed
    if created:
        await _publish(work, version)
        await point_alias(work, entry, version, LIVE)
        await refresh_entry(work, entry)
        await work.record(
            Tag.CATALOG_CONTENT_LOAD,
            resource=resource,
            team=entry.team,
            decision=decision,
            detail={"digest": version.digest},
        )
    return SavedVersion(ENTRY_COLUMNS.of(entry), VERSION_COLUMNS.of(version), (), created)


def _read(manifest: str) -> tuple[SystemManifest, Source]:
    try:
        source = read(manifest)
    except Unreadable as error:
        raise Invalid([error.problem]) from None
    system, problems = validate(SystemManifest, source)
    if system is None:
        raise Invalid(problems)
    return system, source


def _new_version(system: SystemManifest, source: Source) -> NewVersion:
    line, column = source.locate("/version") or (None, None)
    content = digest(source.data)
    return NewVersion(
        kind=EntryKind.SYSTEM,
        flow_kind=None,
        namespace=system.namespace,
        name=system.name,
        version=system.version,
        search_document=system.search_document(),
        digest=content,
        body_digest=content,
        content={"manifest": source.text},
        schemas=None,
        path="/version",
        line=line,
        column=column,
    )


async def _publish(work: Work, version: EntryVersion) -> None:
    version.lifecycle = Lifecycle.PUBLISHED
    version.published_at = work.now
    version.published_by = work.actor.subject
    await work.session.flush()
