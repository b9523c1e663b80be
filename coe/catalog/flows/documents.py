"""Flow documents: the definition of a central flow, or the manifest of a team's local flow.

Both are read into one class, so that other modules need not distinguish them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from coe.catalog.flows.manifest import NAME_PATTERN, FlowMetadata, LocalFlowManifest
from coe.catalog.links import Link, call_links, decision_links, system_links
from coe.catalog.models import FlowKind
from coe.catalog.search.document import SearchDocument
from coe.catalog.semver import parse_version
from coe.drawing import svg_of
from coe.drawing.graph import NodeGroup, definition_graph, single_step_graph
from coe.drawing.mermaid import mermaid_of
from coe.errors import Problem
from coe.json_types import JSON
from coe.language.canonical import digest
from coe.language.documents import CODE, validate
from coe.language.load import load_source
from coe.language.model.definition import Definition
from coe.language.source import Source, Unreadable, read

LOCAL_FLOW_KIND = "localFlow"


@dataclass(frozen=True, slots=True)
class FlowDocument:
    """A flow as read: a central one has a `definition`, a local one a `manifest`."""

    source: Source
    kind: FlowKind
    namespace: str
    name: str
    version: str
    search_document: SearchDocument
    links: tuple[Link, ...]
    input_schema: JSON
    output_schema: JSON
    definition: Definition | None = None
    manifest: LocalFlowManifest | None = None
    # The two below, where they were computed with the reading: aliases make a small text large.
    digests: tuple[str, str] | None = None

    @property
    def resource(self) -> str:
        """Its name in the audit log."""
        return f"flow:{self.namespace}/{self.name}@{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical form of the document, in hex."""
        return self.digests[0] if self.digests else digest(self.source.data)

    @property
    def body_digest(self) -> str:
        """The same without the version number."""
        return self.digests[1] if self.digests else digest(_without_version(self.source.data))


def read_flow(text: str) -> tuple[FlowDocument | None, tuple[Problem, ...]]:
    """Read a document of either kind; None if it has problems."""
    try:
        source = read(text)
    except Unreadable as error:
        return None, (error.problem,)
    if isinstance(source.data, dict) and source.data.get("kind") == LOCAL_FLOW_KIND:
        return _local(source)
    return _central(source)


def at_version(document: FlowDocument, version: str) -> FlowDocument:
    """A central flow's document with another version number, without reading it again.

    Raises:
        ValueError: The document is that of a local flow, or has no text.
    """
    definition, source, data = document.definition, document.source, document.source.data
    mark = source.locate("/document/version", value=True)
    if definition is None or mark is None or not isinstance(data, dict):
        raise ValueError("only a central flow's text can be changed")
    about = data["document"]
    changed: dict[str, JSON] = {**about, "version": version} if isinstance(about, dict) else {}
    whole = {**data, "document": changed}
    marks = dict(source.marks)
    marks[id(whole)], marks[id(changed)] = marks.pop(id(data)), marks.pop(id(about))
    lines = source.text.split("\n")
    line, column = lines[mark.line - 1], mark.column - 1
    lines[mark.line - 1] = line[:column] + line[column:].replace(document.version, version, 1)
    source = replace(source, data=whole, text="\n".join(lines), marks=marks)
    return replace(
        document,
        source=source,
        version=version,
        definition=definition.at_version(version, source),
        digests=None,
    )


def draw_mermaid(document: FlowDocument) -> str:
    """The drawing as Mermaid source; a local flow is one box, because its steps are not known."""
    return mermaid_of(flow_graph(document))


def draw_svg(document: FlowDocument) -> str:
    """The drawing as an SVG document. A step takes a millisecond: draw large ones in a thread."""
    ref = f"{document.namespace}/{document.name}@{document.version}"
    return svg_of(flow_graph(document), document.search_document.title, ref)


def flow_graph(document: FlowDocument) -> NodeGroup:
    """The graph that a drawing of the flow shows; a local flow is one box."""
    if document.definition is not None:
        return definition_graph(document.definition)
    return single_step_graph(document.search_document.title)


# ---------------------------------------------------------------- local


def _local(source: Source) -> tuple[FlowDocument | None, tuple[Problem, ...]]:
    manifest, problems = validate(LocalFlowManifest, source)
    if manifest is None:
        return None, problems
    search_document = SearchDocument(
        title=manifest.title,
        summary=manifest.summary,
        description=manifest.description,
        tags=tuple(manifest.tags),
        systems=tuple(manifest.systems),
        domain=manifest.domain,
        data_class=manifest.data_class,
        process_owner=manifest.process_owner,
        deputy=manifest.deputy,
    )
    document = FlowDocument(
        source=source,
        kind=FlowKind.LOCAL,
        namespace=manifest.namespace,
        name=manifest.name,
        version=manifest.version,
        search_document=search_document,
        links=system_links(manifest.systems),
        input_schema=dict(manifest.input.schema_.document),
        output_schema=dict(manifest.output.schema_.document),
        manifest=manifest,
    )
    return document, ()


# ---------------------------------------------------------------- central


def _central(source: Source) -> tuple[FlowDocument | None, tuple[Problem, ...]]:
    loaded = load_source(source)
    definition = loaded.definition
    if definition is None:
        return None, loaded.problems
    metadata, problems = validate(FlowMetadata, source, at=("document", "metadata"))
    problems += _names(definition, source)
    if metadata is None or problems:
        return None, loaded.problems + problems
    about = definition.document
    tasks = [task for top in definition.do for task in top.walk()]
    search_document = SearchDocument(
        title=about.title or about.name,
        summary=about.summary or "",
        description=metadata.description,
        tags=tuple(metadata.tags),
        systems=tuple(metadata.systems),
        steps=tuple(task.name for task in tasks),
        domain=metadata.domain,
        data_class=metadata.data_class,
        process_owner=metadata.process_owner,
        deputy=metadata.deputy,
    )
    document = FlowDocument(
        source=source,
        kind=FlowKind.CENTRAL,
        namespace=about.namespace,
        name=about.name,
        version=about.version,
        search_document=search_document,
        links=(*call_links(tasks), *decision_links(tasks), *system_links(metadata.systems)),
        input_schema=definition.input.schema_.document
        if definition.input and definition.input.schema_
        else None,
        output_schema=definition.output.schema_.document
        if definition.output and definition.output.schema_
        else None,
        definition=definition,
    )
    return document, loaded.problems


def _names(
    definition: Definition,
    source: Source,
) -> tuple[Problem, ...]:
    """The catalog's requirements on the names, beyond those of the language."""
    about = definition.document
    found: list[Problem] = []
    for key, value in (("namespace", about.namespace), ("name", about.name)):
        if re.fullmatch(NAME_PATTERN, value) is None:
            message = f"the {key} must be words of a-z and 0-9 with hyphens, at most 63"
            found.append(Problem(CODE, message, path=f"/document/{key}"))
    if parse_version(about.version) is None:
        message = "the version must be exact, and without build metadata"
        found.append(Problem(CODE, message, path="/document/version", help="such as 1.4.0"))
    if about.metadata.get("owner", about.namespace) != about.namespace:
        message = f"the owner must be the namespace, {about.namespace}"
        found.append(Problem(CODE, message, path="/document/metadata/owner"))
    return tuple(source.located(each) for each in found)


def _without_version(data: JSON) -> JSON:
    if not isinstance(data, dict):
        return data
    bare = {key: value for key, value in data.items() if key != "version"}
    about = bare.get("document")
    if isinstance(about, dict):
        bare["document"] = {key: value for key, value in about.items() if key != "version"}
    return bare
