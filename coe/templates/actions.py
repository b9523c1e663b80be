"""Verbs of templates: register and instantiate; the catalog has those of the lifecycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from coe.access.actor import DataClass
from coe.access.permissions import Permission
from coe.audit.events import Tag
from coe.catalog.flows.documents import FlowDocument
from coe.catalog.flows.drafts import preview_draft, save_flow
from coe.catalog.links import system_links
from coe.catalog.models import EntryKind
from coe.catalog.records import Preview, SavedVersion
from coe.catalog.versions.saving import NewVersion, SaveOutcome, save_version, saved_version
from coe.confined.budget import BudgetSpent
from coe.errors import Invalid, Problem, errors_in
from coe.language.canonical import digest
from coe.templates.computed import rendered_tests, template_of
from coe.templates.instance import Instance, instance_of
from coe.templates.manifest import MANIFEST, TemplateFiles
from coe.templates.origins import keep_origin
from coe.templates.records import Instantiation
from coe.templates.trial import try_out
from coe.work import Read, Work


async def register_template(
    work: Work,
    files: Mapping[str, str],
    *,
    changelog: str | None = None,
) -> SavedVersion:
    """Save a version of a template as a draft, or replace the draft.

    `files` maps paths to contents; its tests are among them.

    Content that is saved already returns its version, and records nothing.

    Raises:
        Invalid: The problems of its files; nothing is saved.
        Forbidden: `template:register` in the team of its namespace is refused.
        Conflict: The version was submitted already, with other content.
    """
    template, problems = await work.compute(template_of, dict(files))
    if template is None:
        raise Invalid(problems)
    manifest = template.manifest
    resource = f"template:{manifest.ref}"
    decision = work.require(
        Permission.TEMPLATE_REGISTER,
        resource=resource,
        team=manifest.namespace,
        data_class=manifest.data_class,
    )
    problems += await try_out(work, template)
    if errors_in(problems):
        raise Invalid(problems)
    saving = await save_version(work, _new_version(template, problems, changelog))
    if saving.changed:
        await work.record(
            Tag.CATALOG_TEMPLATE_REGISTER,
            resource=resource,
            team=saving.entry.team,
            decision=decision,
            detail=saving.detail(changelog=changelog),
        )
    return await saved_version(work, saving)


async def preview(work: Work, request: Instantiation) -> Preview:
    """What `instantiate` would save, and the problems that would prevent it; saves nothing.

    Raises:
        Invalid: The template's reference is not valid.
        NotFound: No such template, or it may not be read.
        Forbidden: The actor may check flows (`flow:check`) in no team.
    """
    work.require_somewhere(Permission.FLOW_CHECK, resource="flow:new")
    try:
        instance = await instance_of(work, request)
        problems = instance.problems + _refused(work, request, instance)
        if instance.document is None:
            return Preview(instance.rendered.text, problems, template=instance.template.ref)
        draft = await preview_draft(work, instance.document, problems)
    except BudgetSpent as spent:
        return Preview("", spent.problems)
    return replace(draft, template=instance.template.ref)


async def instantiate(work: Work, request: Instantiation) -> SavedVersion:
    """Render a template into a team's namespace as a draft version, with its origin.

    A new flow starts at 1.0.0. An existing flow gets the next minor version, or the next major one
    if the change breaks its callers. Content that is saved already returns its version.

    Raises:
        Invalid: The problems of the parameters or of the rendered definition; nothing is saved.
        NotFound: No such template, or it may not be read.
        Forbidden: `template:instantiate` in the team is refused.
    """
    work.require_scope(Permission.ENTRY_READ)
    instance = await instance_of(work, request)
    document, rendered = instance.document, instance.rendered
    decision = work.require(
        Permission.TEMPLATE_INSTANTIATE,
        resource=f"flow:{request.namespace}/{request.name}",
        team=request.namespace,
        data_class=_data_class(instance),
    )
    if document is None or errors_in(instance.problems):
        raise Invalid(instance.problems)
    tests = await work.compute(rendered_tests, instance.files, instance.target, rendered)
    changelog = f"Made from {instance.template.ref}"
    saving = await save_flow(
        work,
        document,
        instance.problems,
        changelog=changelog,
        tests=tests,
        may_replace=False,
    )
    if saving.outcome is SaveOutcome.CREATED:
        await keep_origin(work, saving.version, instance.template, rendered.parameters)
        await work.record(
            Tag.CATALOG_TEMPLATE_INSTANTIATE,
            resource=document.resource,
            team=saving.entry.team,
            decision=decision,
            detail=saving.detail(template=instance.template.ref, parameters=rendered.parameters),
        )
    return await saved_version(work, saving)


def _data_class(instance: Instance) -> DataClass:
    found = instance.document or instance.files
    described = (
        found.search_document if isinstance(found, FlowDocument) else found.search_document()
    )
    return described.data_class


def _refused(read: Read, request: Instantiation, instance: Instance) -> tuple[Problem, ...]:
    """The problem that the actor may not make flows for the team, if so."""
    decision = read.decide(
        Permission.TEMPLATE_INSTANTIATE, team=request.namespace, data_class=_data_class(instance)
    )
    if decision.allowed or any(each.path == "/namespace" for each in instance.problems):
        return ()
    message = f"you may not make flows of the team `{request.namespace}`: {decision.explanation}"
    return (Problem("INPUT_NAMESPACE", message, path="/namespace"),)


def _new_version(
    template: TemplateFiles, problems: tuple[Problem, ...], changelog: str | None
) -> NewVersion:
    manifest, texts = template.manifest, template.texts
    bare = {path: text for path, text in texts.items() if path != MANIFEST}
    return NewVersion(
        kind=EntryKind.TEMPLATE,
        flow_kind=None,
        namespace=manifest.namespace,
        name=manifest.name,
        version=manifest.version,
        search_document=template.search_document(),
        digest=digest(dict(texts)),
        body_digest=digest(dict(bare)),
        content=dict(texts),
        schemas={"parameters": manifest.parameters},
        path=f"/{MANIFEST}",
        problems=problems,
        links=system_links(manifest.systems),
        changelog=changelog,
    )
