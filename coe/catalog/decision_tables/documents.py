"""Decision tables of the catalog: documents, search documents and decrypted contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import select

from coe.catalog.flows.manifest import FlowMetadata
from coe.catalog.links import Link, system_links
from coe.catalog.models import EntryKind
from coe.catalog.scope import readable_versions
from coe.catalog.search.document import SearchDocument
from coe.catalog.tables import VERSIONS
from coe.catalog.versions.disclosure import IDENTITY, disclose
from coe.catalog.versions.sealing import problems_from_json
from coe.decisions.load import load_decision_source
from coe.decisions.schemas import input_schema, output_schema
from coe.decisions.table import DecisionTable
from coe.errors import Conflict, Problem, errors_in
from coe.json_types import JSON
from coe.language.canonical import digest
from coe.language.documents import CODE, validate
from coe.language.source import Source, Unreadable
from coe.language.source import read as read_source

if TYPE_CHECKING:
    from coe.work import Read


@dataclass(frozen=True, slots=True)
class DecisionEntry:
    """A table as read, with its search document and links."""

    table: DecisionTable
    search_document: SearchDocument
    links: tuple[Link, ...]

    @property
    def resource(self) -> str:
        """Its name in the audit log."""
        return f"decision:{self.table.ref}"

    @property
    def body_digest(self) -> str:
        """SHA-256 over the canonical form of the document without its version number, in hex."""
        data = self.table.source.data
        if not isinstance(data, dict) or not isinstance(head := data.get("decision"), dict):
            return digest(data)
        bare: JSON = {key: value for key, value in head.items() if key != "version"}
        return digest({**data, "decision": bare})

    @property
    def schemas(self) -> JSON:
        """The JSON Schemas of input and output."""
        return {"input": input_schema(self.table), "output": output_schema(self.table)}


@dataclass(frozen=True, slots=True)
class DecisionContent:
    """The decrypted parts of a version; `definition` is the document as received."""

    definition: str
    table: DecisionTable
    input_schema: JSON
    output_schema: JSON
    problems: tuple[Problem, ...]


def read_decision(text: str) -> tuple[DecisionEntry | None, tuple[Problem, ...], Source | None]:
    """Read and check a table's document; without an entry if it has errors."""
    try:
        source = read_source(text)
    except Unreadable as error:
        return None, (error.problem,), None
    loaded = load_decision_source(source)
    if not isinstance(source.data, dict):
        return None, loaded.problems, source
    metadata, problems = validate(FlowMetadata, source, at=("decision", "metadata"))
    problems = loaded.problems + problems
    if metadata is None or loaded.table is None or errors_in(problems):
        return None, problems, source
    about = loaded.table.document.decision
    if (metadata.owner or about.namespace) != about.namespace:
        message = f"the owner must be the namespace, {about.namespace}"
        found = source.problem(CODE, message, "/decision/metadata/owner")
        return None, (*problems, found), source
    names = [*loaded.table.document.inputs, *loaded.table.document.outputs]
    search_document = SearchDocument(
        title=about.title or about.name,
        summary=about.summary or "",
        description=metadata.description,
        tags=tuple(metadata.tags),
        systems=tuple(metadata.systems),
        steps=tuple(dict.fromkeys(each.label or each.name for each in names)),
        domain=metadata.domain,
        data_class=metadata.data_class,
        process_owner=metadata.process_owner,
        deputy=metadata.deputy,
    )
    return (
        DecisionEntry(loaded.table, search_document, system_links(metadata.systems)),
        problems,
        source,
    )


def opened_decision(content: JSON) -> DecisionTable:
    """The table in a decrypted `content_sealed`; gaps are not checked again.

    Raises:
        Conflict: The document is no longer valid, because the format was restricted since.
    """
    definition = content.get("definition") if isinstance(content, dict) else None
    loaded = load_decision_source(read_source(str(definition)), whole=False)
    if loaded.table is None:
        raise Conflict("the decision table was saved in a form that is no longer read")
    return loaded.table


async def decision_contents(
    read: Read,
    version_ids: Sequence[UUID],
    *,
    handed_out: bool = True,
) -> dict[UUID, DecisionContent]:
    """The definitions, schemas and problems of the table versions that the actor may read.

    `handed_out` as for `disclose`.
    """
    sealed = ("content_sealed", "schemas_sealed", "problems_sealed")
    query = select(*IDENTITY, *(VERSIONS.c[name] for name in sealed)).where(
        VERSIONS.c.id.in_(version_ids),
        VERSIONS.c.kind == EntryKind.DECISION,
        readable_versions(read),
    )
    found: dict[UUID, DecisionContent] = {}
    for row in (await read.session.execute(query)).all():
        content, schemas, problems = await disclose(read, row, *sealed, handed_out=handed_out)
        table = await read.compute(opened_decision, content)
        found[row.id] = DecisionContent(
            definition=table.source.text,
            table=table,
            input_schema=schemas.get("input") if isinstance(schemas, dict) else None,
            output_schema=schemas.get("output") if isinstance(schemas, dict) else None,
            problems=problems_from_json(problems),
        )
    return found
