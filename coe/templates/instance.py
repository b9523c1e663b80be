"""Prepare an instantiation: find the template, render it and choose the flow's version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import select, true

from coe.access.permissions import Permission
from coe.catalog.flows.computed import changes
from coe.catalog.flows.contents import flow_contents
from coe.catalog.flows.documents import FlowDocument, at_version
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.names import known_names
from coe.catalog.queries import find_version
from coe.catalog.records import VersionRecord
from coe.catalog.refs import require_ref
from coe.catalog.scope import readable_versions
from coe.catalog.semver import bump, parse_version
from coe.catalog.tables import VERSIONS
from coe.catalog.versions.lifecycle import RUNNABLE
from coe.catalog.versions.signatures import check_draft, require_published
from coe.errors import NotFound, Problem, Severity, errors_in
from coe.identifiers import is_slug
from coe.language.canonical import digest
from coe.language.names.references import NameKind
from coe.language.suggestions import did_you_mean
from coe.templates.computed import rendered_flow, template_of
from coe.templates.manifest import TemplateFiles
from coe.templates.queries import template_contents
from coe.templates.records import Instantiation
from coe.templates.render import Rendered, Target
from coe.work import Read

FIRST_VERSION: Final = "1.0.0"


@dataclass(frozen=True, slots=True)
class Instance:
    """A prepared instantiation; `document` is None if the rendering could not be read."""

    template: VersionRecord
    files: TemplateFiles
    target: Target
    rendered: Rendered
    document: FlowDocument | None
    problems: tuple[Problem, ...]


async def instance_of(read: Read, request: Instantiation) -> Instance:
    """Prepare an instantiation, with all its problems.

    Raises:
        Invalid: The template's reference is not valid.
        NotFound: No such template, or it may not be read.
        NotAsPublished: It is not what was published.
        Conflict: It is a draft, and not what was saved.
    """
    require_ref(request.template, path="/template")
    template = await find_version(read, request.template, EntryKind.TEMPLATE)
    if template is None:
        raise NotFound(f"there is no template {request.template}, or you may not read it")
    contents = await template_contents(read, [template.id])
    texts = contents[template.id].files
    if template.lifecycle in RUNNABLE:
        await require_published(read, template, digest(dict(texts)), starting=True)
    else:
        check_draft(read, template, digest(dict(texts)))
    files, problems = await read.compute(template_of, texts)
    if files is None:
        raise NotFound(f"{template.ref} was saved in a format that is no longer supported")
    problems += await _input_problems(read, request, template)
    target = Target(
        namespace=request.namespace,
        name=request.name,
        version=FIRST_VERSION,
        title=request.title or files.manifest.title,
        process_owner=request.process_owner,
    )
    rendered, document, found = await read.compute(rendered_flow, files, target, request.parameters)
    problems += rendered.problems
    if errors_in(problems):
        document, found = None, ()
    if document is not None:
        document = at_version(document, await _next_version(read, document))
        rendered = replace(rendered, text=document.source.text)
    return Instance(template, files, target, rendered, document, problems + found)


async def _input_problems(
    read: Read,
    request: Instantiation,
    template: VersionRecord,
) -> tuple[Problem, ...]:
    found: list[Problem] = []
    if template.lifecycle not in RUNNABLE:
        message = f"{template.ref} is {template.lifecycle}: only a published one can be used"
        found.append(Problem("INPUT_TEMPLATE", message, path="/template"))
    elif template.lifecycle is Lifecycle.DEPRECATED:
        message = f"{template.ref} is deprecated"
        help = f"{template.entry_ref} without a version is its newest published one"
        found.append(Problem("INPUT_TEMPLATE", message, Severity.WARNING, "/template", help=help))
    if not is_slug(request.name):
        message = "the name must be words of a-z and 0-9 with hyphens, at most 63"
        found.append(Problem("INPUT_NAME", message, path="/name", help="such as order-to-cash"))
    known = (await known_names(read, (), request.namespace)).by_kind
    for field, name, kind, wanted in (
        ("namespace", request.namespace, NameKind.TEAM, "the slug of a team"),
        ("processOwner", request.process_owner, NameKind.PERSON, "somebody who is in a team"),
    ):
        if name not in known[kind].exist:
            noun = "process owner" if kind is NameKind.PERSON else field
            message = f"the {noun} must be {wanted}{did_you_mean(name, known[kind].suggested)}"
            code = f"INPUT_{noun.upper().replace(' ', '_')}"
            found.append(Problem(code, message, path=f"/{field}"))
    return tuple(found)


async def _next_version(read: Read, draft: FlowDocument) -> str:
    """The existing version with the same content, or else the next version.

    A preview in another team's namespace counts only the versions that the actor may read:
    otherwise the number would reveal hidden flows.
    """
    own = read.decide(
        Permission.TEMPLATE_INSTANTIATE,
        team=draft.namespace,
        data_class=draft.search_document.data_class,
    )
    query = (
        select(VERSIONS.c.id, VERSIONS.c.version, VERSIONS.c.body_digest)
        .where(
            VERSIONS.c.namespace == draft.namespace,
            VERSIONS.c.name == draft.name,
            true() if own.allowed else readable_versions(read),
        )
        .order_by(VERSIONS.c.precedence.desc())
    )
    kept = (await read.session.execute(query)).all()
    for row in kept:
        if row.body_digest == draft.body_digest:
            return str(row.version)
    newest = parse_version(kept[0].version) if kept else None
    if newest is None:
        return FIRST_VERSION
    contents = await flow_contents(read, [kept[0].id], handed_out=False)
    old = contents.get(kept[0].id)
    if old is None:
        return str(bump(newest, "major"))
    step = (await read.compute(changes, old.definition, draft.source.text)).least_step
    return str(bump(newest, step))
