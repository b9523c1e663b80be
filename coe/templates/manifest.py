"""The manifest of a template, `template.yaml`, and the files beside it.

    kind: template
    namespace: coe
    name: order-to-cash
    version: 1.0.0
    title: Order to cash
    summary: One line.
    processOwner: coe-lead
    domain: sales
    dataClass: INTERNAL
    tags: [order, finance]
    systems: [sales/crm]
    parameters:            # a JSON Schema of an object; defaults are filled in
      type: object
      additionalProperties: false
      properties:
        carrier: {type: string, enum: [northwind, bluebox], default: northwind}

`flow.yaml` is the definition with placeholders (`coe.templates.placeholders`); they refer to
`params.…`, `flow.namespace`, `flow.name`, `flow.title`, `flow.processOwner` and `template.ref`;
the catalog assigns the version number. `tests.yaml` has the tests, `README.md` the text for
people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from coe.access.actor import DataClass
from coe.catalog.flows.manifest import (
    EntryRef,
    ManifestModel,
    Semver,
    SingleLine,
    SlugName,
    TagName,
)
from coe.catalog.search.document import SearchDocument
from coe.errors import Problem
from coe.json_types import JSON
from coe.language.documents import validate
from coe.language.json_schema.meta import schema_problems
from coe.language.names.directory import KnownNames, name_problems
from coe.language.names.references import named_by
from coe.language.source import Source, Unreadable, point, read

MANIFEST, FLOW, TESTS, README = "template.yaml", "flow.yaml", "tests.yaml", "README.md"
_NEEDED = (MANIFEST, FLOW, TESTS, README)
_MAX_CHARACTERS = 2_000_000
MAX_EXAMPLES = 20
"""Examples of parameters, each of which is rendered and checked at a registration."""


class TemplateManifest(ManifestModel):
    """The manifest; `parameters` is a JSON Schema (2020-12) of an object."""

    kind: Literal["template"]
    namespace: SlugName
    name: SlugName
    version: Semver
    title: SingleLine
    summary: SingleLine
    description: str = ""
    process_owner: str | None = None
    deputy: str | None = None
    domain: SlugName | None = None
    data_class: DataClass = DataClass.INTERNAL
    tags: list[TagName] = Field(default_factory=list)
    systems: list[EntryRef] = Field(default_factory=list)
    parameters: dict[str, JSON]

    @property
    def ref(self) -> str:
        """`namespace/name@version`."""
        return f"{self.namespace}/{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class TemplateFiles:
    """A template that was read: its manifest, the data of its flow, and the text of each file."""

    manifest: TemplateManifest
    flow: dict[str, JSON]
    texts: dict[str, str]

    def search_document(self) -> SearchDocument:
        """What the catalog shows of it."""
        manifest = self.manifest
        return SearchDocument(
            title=manifest.title,
            summary=manifest.summary,
            description=manifest.description,
            tags=tuple(manifest.tags),
            systems=tuple(manifest.systems),
            steps=tuple(steps_in(self.flow.get("do"))),
            parameters=tuple(parameter_texts(manifest.parameters)),
            domain=manifest.domain,
            data_class=manifest.data_class,
            process_owner=manifest.process_owner,
            deputy=manifest.deputy,
        )


def read_template(files: Mapping[str, str]) -> tuple[TemplateFiles | None, tuple[Problem, ...]]:
    """Read a template's files (path to text): the template, or the problems.

    A problem's `path` is a JSON pointer into `files`; line and column are positions in the file.
    """
    texts = {path: text.replace("\r\n", "\n") for path, text in files.items()}
    problems = [*_missing(texts), *_invalid_paths(texts)]
    if problems:
        return None, tuple(problems)
    manifest, found = _manifest(texts[MANIFEST])
    problems += found
    flow, found = _flow(texts[FLOW])
    problems += found
    if manifest is None or flow is None or problems:
        return None, tuple(problems)
    return TemplateFiles(manifest, flow, texts), ()


def template_name_problems(template: TemplateFiles, known: KnownNames) -> tuple[Problem, ...]:
    """The problems of the names in the manifest, with the severities of a publication."""
    source, team = read(template.texts[MANIFEST], file=MANIFEST), template.manifest.namespace
    found = name_problems(source, named_by(source.data), known, team=team)
    return tuple(in_file(MANIFEST, each) for each in found)


def in_file(file: str, problem: Problem) -> Problem:
    """The problem of one file as a problem of all files: its pointer leads to the file."""
    where = f" at {problem.path}" if problem.path else ""
    return Problem(
        problem.code,
        f"{file}{where}: {problem.message}",
        problem.severity,
        point(file),
        problem.line,
        problem.column,
        problem.help,
    )


def parameter_texts(schema: JSON) -> Iterator[str]:
    """The names of the parameters, what is said of them, and the values that are suggested."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, about in (properties if isinstance(properties, dict) else {}).items():
        yield name
        if not isinstance(about, dict):
            continue
        yield from (str(about[key]) for key in ("title", "description") if about.get(key))
        suggested = [about.get("default"), *_list(about.get("enum")), *_list(about.get("examples"))]
        yield from dict.fromkeys(each for each in suggested if isinstance(each, str))
        yield from parameter_texts(about)


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def steps_in(tasks: JSON) -> list[str]:
    """The names of the tasks of a list, and of those within them, in order."""
    found: list[str] = []
    for item in tasks if isinstance(tasks, list) else []:
        if not isinstance(item, dict):
            continue
        for name, task in item.items():
            if name.startswith("$"):
                found += steps_in(task if isinstance(task, list) else [task])
                continue
            found.append(name)
            if isinstance(task, dict):
                for part in ("do", "try"):
                    found += steps_in(task.get(part))
                for part in ("fork", "catch"):
                    inner = task.get(part)
                    if isinstance(inner, dict):
                        found += steps_in(inner.get("branches")) + steps_in(inner.get("do"))
    return found


def _missing(texts: Mapping[str, str]) -> list[Problem]:
    return [
        Problem("INPUT_FILES", f"the file {name} is missing", path="")
        for name in _NEEDED
        if name not in texts
    ]


def _invalid_paths(texts: Mapping[str, str]) -> list[Problem]:
    found = [
        Problem(
            "INPUT_FILES", f"{path!r} is not a valid path of a template's file", path=point(path)
        )
        for path in texts
        if path.startswith("/") or ".." in path.split("/") or "\\" in path or not path
    ]
    if sum(len(text) for text in texts.values()) > _MAX_CHARACTERS:
        found.append(
            Problem("INPUT_FILES", f"the files have more than {_MAX_CHARACTERS:,} characters")
        )
    return found


def _manifest(text: str) -> tuple[TemplateManifest | None, list[Problem]]:
    try:
        source = read(text, file=MANIFEST)
    except Unreadable as error:
        return None, [in_file(MANIFEST, error.problem)]
    manifest, problems = validate(TemplateManifest, source)
    found = list(problems)
    if manifest:
        found += _schema_problems(manifest.parameters, source)
    return manifest, [in_file(MANIFEST, problem) for problem in found]


def _schema_problems(schema: dict[str, JSON], source: Source) -> list[Problem]:
    if schema.get("type") != "object":
        message = "the parameters' schema must have `type: object`"
        return [source.problem("INPUT_MANIFEST", message, "/parameters")]
    examples = schema.get("examples")
    found = list(schema_problems(source, schema, "/parameters"))
    if isinstance(examples, list) and len(examples) > MAX_EXAMPLES:
        message = f"a template has at most {MAX_EXAMPLES} examples: each is rendered and checked"
        place = f"/parameters/examples/{MAX_EXAMPLES}"
        help = "keep those that show something, and test the others in tests.yaml"
        found.append(source.problem("INPUT_MANIFEST", message, place, help=help))
    return found


def _flow(text: str) -> tuple[dict[str, JSON] | None, list[Problem]]:
    try:
        source = read(text, file=FLOW)
    except Unreadable as error:
        return None, [in_file(FLOW, error.problem)]
    if not isinstance(source.data, dict):
        return None, [in_file(FLOW, Problem("OWS005", "the document must be an object", line=1))]
    unstorable = [in_file(FLOW, problem) for problem in source.unstorable()]
    return (None, unstorable) if unstorable else (source.data, [])
