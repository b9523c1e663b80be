"""Draft versions of flows: checked and saved, or only previewed.

Registration and instantiation of a template both use this module.
"""

from __future__ import annotations

from coe.catalog.flows import checking
from coe.catalog.flows.computed import preview_of
from coe.catalog.flows.contents import flow_contents
from coe.catalog.flows.documents import FlowDocument
from coe.catalog.models import EntryKind, Lifecycle
from coe.catalog.queries import find_version
from coe.catalog.records import Preview
from coe.catalog.versions.saving import NewVersion, Saving, save_version
from coe.errors import Invalid, Problem, errors_in
from coe.language.lint import Stage
from coe.work import Read, Work

DEFAULT_ENGINE = "prefect"


async def save_flow(
    work: Work,
    document: FlowDocument,
    problems: tuple[Problem, ...],
    *,
    changelog: str | None,
    tests: str | None = None,
    may_replace: bool = True,
) -> Saving:
    """Check a document and save it as a draft.

    Raises:
        Invalid: It has errors, or a local flow has tests; nothing is saved.
        Conflict: Its version was submitted already, with other content.
    """
    problems += _tests_problems(document, tests)
    found = problems + await checking.check(work, document)
    if errors_in(found):
        raise Invalid(found)
    path = "/document/version" if document.definition else "/version"
    line, column = document.source.locate(path) or (None, None)
    new = NewVersion(
        kind=EntryKind.FLOW,
        flow_kind=document.kind,
        namespace=document.namespace,
        name=document.name,
        version=document.version,
        search_document=document.search_document,
        digest=document.digest,
        body_digest=document.body_digest,
        content={"definition": document.source.text},
        schemas={"input": document.input_schema, "output": document.output_schema},
        path=path,
        line=line,
        column=column,
        problems=found,
        links=document.links,
        engine=DEFAULT_ENGINE,
        changelog=changelog,
        tests=tests,
        may_replace=may_replace,
    )
    return await save_version(work, new)


def _tests_problems(document: FlowDocument, tests: str | None) -> tuple[Problem, ...]:
    if not tests or document.definition is not None:
        return ()
    message = "a local flow has no tests here: its code, which the platform does not run, has them"
    return (Problem("INPUT_TESTS", message, path="/tests"),)


async def taken_number(read: Read, document: FlowDocument) -> tuple[Problem, ...]:
    """The problem of a version number that a submitted version has, if the actor may read it."""
    ref = f"{document.namespace}/{document.name}@{document.version}"
    version = await find_version(read, ref, EntryKind.FLOW)
    if version is None or version.lifecycle is Lifecycle.DRAFT:
        return ()
    if version.digest == document.digest:
        return ()
    path = "/document/version" if document.definition else "/version"
    message = f"{ref} is {version.lifecycle} with other content"
    help = "from its submission on a version never changes: use a higher number"
    return (document.source.problem("INPUT_VERSION", message, path, help=help),)


async def preview_draft(
    read: Read,
    document: FlowDocument,
    problems: tuple[Problem, ...],
    stage: Stage = Stage.DRAFT,
) -> Preview:
    """Preview a document: its problems at a stage, its diagram, its changes to the live version."""
    found = problems + await checking.check(read, document, stage)
    live = await _live(read, document)
    diagram, diff = await read.compute(preview_of, document.source.text, live)
    return Preview(
        ref=f"{document.namespace}/{document.name}@{document.version}",
        definition=document.source.text,
        digest=document.digest,
        problems=found,
        diagram=diagram,
        diff=diff,
    )


async def _live(read: Read, document: FlowDocument) -> str | None:
    """The definition of the live version."""
    live = await find_version(read, f"{document.namespace}/{document.name}", EntryKind.FLOW)
    if live is None:
        return None
    contents = await flow_contents(read, [live.id])
    return contents[live.id].definition
