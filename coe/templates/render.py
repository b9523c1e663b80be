"""Render a template: its flow and the parameters give one definition, always the same."""

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
    """The flow that is rendered."""

    namespace: str
    name: str
    version: str
    title: str
    process_owner: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A definition without placeholders, and the parameters with their defaults.

    `text` is the text of `data`. If there are problems, it may still have placeholders.
    """

    data: dict[str, JSON]
    text: str
    parameters: dict[str, JSON]
    problems: tuple[Problem, ...]


def render(files: TemplateFiles, target: Target, parameters: JSON) -> Rendered:
    """Render a template; the function is pure.

    The flow's namespace, name, version, title and process owner are the target's, not those in the
    template's flow.
    """
    data, filled, problems = fill(files, target, parameters)
    text = f"# Made from {files.manifest.ref}\n{write_yaml(data)}"
    return Rendered(data, text, filled, problems)


def fill(
    files: TemplateFiles, target: Target, parameters: JSON
) -> tuple[dict[str, JSON], dict[str, JSON], tuple[Problem, ...]]:
    """Render without the text, which takes most of the time: data, parameters, problems."""
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
    data = _with_target(document if isinstance(document, dict) else {}, target)
    found = () if problems else tuple(in_file(FLOW, each) for each in filling.problems)
    return data, filled, problems + found


def unknown_parameters(files: TemplateFiles) -> tuple[str, ...]:
    """The parameters that the flow's placeholders name and the schema does not declare."""
    properties = files.manifest.parameters.get("properties")
    known = set(properties) if isinstance(properties, dict) else set()
    named = {path.split(".")[1] for path in paths_in(files.flow) if path.startswith("params.")}
    return tuple(sorted(named - known))


def write_yaml(data: JSON) -> str:
    """Write data as YAML: keys in their order, texts of several lines as blocks."""
    writer = YAML()
    writer.default_flow_style = False
    writer.width = _WIDTH
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    writer.dump(_blocks(data), stream)
    return stream.getvalue()


def _with_target(data: dict[str, JSON], target: Target) -> dict[str, JSON]:
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
