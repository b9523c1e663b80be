"""Rendering: a template's flow and a set of values give one definition, always the same."""

from __future__ import annotations

import io
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from coe.errors import Problem
from coe.json_types import JSON
from coe.templates.manifest import FLOW, TemplateFiles, in_file
from coe.templates.parameters import complete
from coe.templates.placeholders import Filling, paths_in

_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Target:
    """The flow that a rendering is for."""

    namespace: str
    name: str
    version: str
    title: str
    process_owner: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A definition with no placeholder left, and the parameters with their defaults.

    `data` and `text` say the same. With problems, the text may still hold placeholders.
    """

    data: dict[str, JSON]
    text: str
    parameters: dict[str, JSON]
    problems: tuple[Problem, ...]


def render(files: TemplateFiles, target: Target, parameters: JSON) -> Rendered:
    """Render a template; pure and the same each time.

    The flow's namespace, name, version, title and process owner are the target's, whatever the
    template's flow says of them.
    """
    data, filled, problems = fill(files, target, parameters)
    text = f"# Made from {files.manifest.ref}\n{write_yaml(data)}"
    return Rendered(data, text, filled, problems)


def fill(
    files: TemplateFiles, target: Target, parameters: JSON
) -> tuple[dict[str, JSON], dict[str, JSON], tuple[Problem, ...]]:
    """The same without the text, which takes most of the time: data, parameters, problems."""
    filled, problems = complete(files.manifest.parameters, parameters)
    filling = Filling(
        {
            "params": filled,
            "flow": {
                "namespace": target.namespace,
                "name": target.name,
                "title": target.title,
                "processOwner": target.process_owner,
            },
            "template": {"ref": files.manifest.ref},
        },
    )
    document = filling.fill(files.flow)
    data = _addressed(document if isinstance(document, dict) else {}, target)
    slips = () if problems else tuple(in_file(FLOW, each) for each in filling.problems)
    return data, filled, problems + slips


def unknown_parameters(files: TemplateFiles) -> tuple[str, ...]:
    """Parameters that the flow's placeholders name and the schema does not have."""
    properties = files.manifest.parameters.get("properties")
    known = set(properties) if isinstance(properties, dict) else set()
    named = {path.split(".")[1] for path in paths_in(files.flow) if path.startswith("params.")}
    return tuple(sorted(named - known))


def write_yaml(data: JSON) -> str:
    """YAML text of the data: keys as they stand, text of several lines as blocks."""
    writer = YAML()
    writer.default_flow_style = False
    writer.width = _WIDTH
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    writer.dump(_blocks(data), stream)
    return stream.getvalue()


def _addressed(data: dict[str, JSON], target: Target) -> dict[str, JSON]:
    document = data.get("document")
    document = dict(document) if isinstance(document, dict) else {}
    metadata = document.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    document["namespace"] = target.namespace
    document["name"] = target.name
    document["version"] = target.version
    document["title"] = target.title
    metadata["processOwner"] = target.process_owner
    document["metadata"] = metadata
    return {**data, "document": document}


def _blocks(node: JSON) -> JSON:
    match node:
        case str() if "\n" in node:
            block: str = LiteralScalarString(node)
            return block
        case list():
            return [_blocks(item) for item in node]
        case dict():
            return {key: _blocks(value) for key, value in node.items()}
        case _:
            return node
