"""Verbs of drafts, alike for flows, decision tables and templates: register, change, delete.

A draft can be changed until it is submitted for review, and again after it was sent back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coe.audit.events import Tag
from coe.catalog import actions as catalog
from coe.catalog.decision_tables.actions import register_decision as save_decision
from coe.catalog.models import EntryKind, EntryVersion
from coe.catalog.records import SavedVersion
from coe.catalog.versions.drafts import DeletedDraft, find_draft, remove_draft
from coe.catalog.versions.saving import digests_of
from coe.catalog.versions.sealing import unseal
from coe.catalog.versions.transitions import resource_name
from coe.errors import Conflict, Invalid, Problem
from coe.json_types import JSON
from coe.review.computed import named_version, suite_errors, unreadable
from coe.templates.actions import register_template
from coe.templates.manifest import MANIFEST
from coe.templates.origins import count_flows, template_of
from coe.work import Work


@dataclass(frozen=True, slots=True)
class DraftChange:
    """What changes in a draft; None keeps the present value.

    `manifest` is the document of a flow or table, `files` those of a template by their path, and
    `tests` the text of the tests of a flow or table (an empty text removes them). `digest` is that
    of the draft as it was read: a draft that was changed since is not overwritten.
    """

    manifest: str | None = None
    files: Mapping[str, str] | None = None
    tests: str | None = None
    changelog: str | None = None
    digest: str | None = None


async def register_flow(
    work: Work, manifest: str, *, changelog: str | None = None, tests: str | None = None
) -> SavedVersion:
    """Save a flow with its tests, as `coe.catalog.actions.register_flow` does.

    Raises:
        Invalid: The document or the tests have errors; nothing is saved.
        Forbidden, Conflict: As for `coe.catalog.actions.register_flow`.
    """
    if tests:
        _refuse(await work.compute(suite_errors, tests))
    return await catalog.register_flow(work, manifest, changelog=changelog, tests=tests)


async def register_decision(
    work: Work, manifest: str, *, changelog: str | None = None, tests: str | None = None
) -> SavedVersion:
    """Save a decision table with its tests.

    Raises:
        Invalid: The document or the tests have errors; nothing is saved.
        Forbidden, Conflict: As for `coe.catalog.decision_tables.actions.register_decision`.
    """
    if tests:
        _refuse(await work.compute(unreadable, tests))
    return await save_decision(work, manifest, changelog=changelog, tests=tests)


async def update_draft(work: Work, ref: str, change: DraftChange) -> SavedVersion:
    """Change a draft: its content, its tests or its changelog.

    Raises:
        Invalid: The ref is not exact, or the change does not fit the kind of the entry, has errors
            or is another version's; nothing is saved.
        NotFound: There is no such version, or the actor may neither change nor read it.
        Forbidden: The permission to register drafts of its kind is refused.
        Conflict: The version was submitted, or was changed since it was read.
    """
    draft = await find_draft(work, ref)
    entry, version = draft.entry, draft.version
    if change.digest is not None and change.digest != version.digest:
        raise Conflict(f"{ref} was changed since you read it: read it again, then change it")
    _fits(entry.kind, change)
    content = await _content(work, version)
    if entry.kind is EntryKind.TEMPLATE:
        files = change.files or {path: str(text) for path, text in content.items()}
        await _same_version(work, ref, files.get(MANIFEST, ""), f"/files/{MANIFEST}")
        return await register_template(work, files, changelog=change.changelog)
    manifest = change.manifest or str(content["definition"])
    await _same_version(work, ref, manifest, "/manifest")
    register = register_decision if entry.kind is EntryKind.DECISION else register_flow
    return await register(work, manifest, changelog=change.changelog, tests=change.tests)


async def delete_draft(work: Work, ref: str) -> DeletedDraft:
    """Delete a draft that was never submitted; its version number is free again.

    Raises:
        Invalid: The ref is not exact.
        NotFound: There is no such version, or the actor may neither change nor read it.
        Forbidden: The permission to register drafts of its kind is refused.
        Conflict: The version is or was submitted.
    """
    draft = await find_draft(work, ref)
    resource, digests = resource_name(draft.entry, draft.version), digests_of(draft.version)
    kind, team = draft.entry.kind, draft.entry.team
    template = await template_of(work, draft.version)
    deleted = await remove_draft(work, draft)
    if template is not None:
        await count_flows(work, template)
    await work.record(
        _DELETE[kind],
        resource=resource,
        team=team,
        decision=draft.decision,
        detail={"before": digests},
    )
    return deleted


_DELETE = {
    EntryKind.DECISION: Tag.CATALOG_DECISION_DELETE,
    EntryKind.FLOW: Tag.CATALOG_FLOW_DELETE,
    EntryKind.TEMPLATE: Tag.CATALOG_TEMPLATE_DELETE,
}


def _refuse(problems: tuple[Problem, ...]) -> None:
    if problems:
        raise Invalid(problems)


def _fits(kind: EntryKind, change: DraftChange) -> None:
    """Refuse a part that the kind of the entry does not have."""
    noun = kind.lower()
    template = kind is EntryKind.TEMPLATE
    wrong = {
        "/manifest": template and change.manifest is not None,
        "/tests": template and change.tests is not None,
        "/files": not template and change.files is not None,
    }
    help = "send `files`" if template else "send `manifest` and `tests`"
    problems = [
        Problem("INPUT_DRAFT", f"a {noun} has no `{path[1:]}`", path=path, help=help)
        for path, given in wrong.items()
        if given
    ]
    if problems:
        raise Invalid(problems)


async def _content(work: Work, version: EntryVersion) -> dict[str, JSON]:
    column, sealed = "content_sealed", version.content_sealed
    opened = await unseal(work.keyring, version.id, version.team, column, sealed)
    return opened if isinstance(opened, dict) else {}


async def _same_version(work: Work, ref: str, text: str, path: str) -> None:
    """Refuse a document of another version; one that cannot be read is refused later."""
    found = await work.compute(named_version, text)
    if found is not None and found != ref:
        message = f"this is {found[:160]}, not {ref}"
        help = "to give a draft another number, register it and delete this draft"
        raise Invalid([Problem("INPUT_DRAFT", message, path=path, help=help)])
