"""The JSON Schemas of a template's manifest and of its flow, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from coe.catalog.flows.manifest_schema import manifest_schema
from coe.language.editor_schema import profile_schema
from coe.templates.manifest import TemplateManifest

# The published schemas: generated from the models, and a test compares them.
TEMPLATE_FILE: Final = Path(__file__).with_name("template.schema.json")
TEMPLATE_FLOW_FILE: Final = Path(__file__).with_name("template-flow.schema.json")


def template_schema() -> dict[str, Any]:
    """The JSON Schema of a template's manifest, `template.yaml`."""
    description = "The manifest of a template: who owns it, and the schema of its parameters"
    return manifest_schema(TemplateManifest, "Template", description)


def template_flow_schema() -> dict[str, Any]:
    """The JSON Schema of a template's `flow.yaml`: that of a definition, or placeholders."""
    schema = profile_schema()
    return schema | {
        "title": "Flow of a template",
        "description": "A definition in which `$(…)`, `$if` and `$for` may stand for values",
        "$defs": {name: _or_placeholders(part) for name, part in schema["$defs"].items()},
        "properties": _or_placeholders(schema)["properties"],
    }


_PLACEHOLDERS: Final[tuple[dict[str, Any], ...]] = (
    {"type": "string", "pattern": r"\$\("},
    {"type": "object", "required": ["$if", "$then"]},
    {"type": "object", "required": ["$for", "$do"]},
)


def _or_placeholders(node: Any) -> Any:
    """A schema in which each property and each item may be a placeholder instead."""
    if isinstance(node, list):
        return [_or_placeholders(each) for each in node]
    if not isinstance(node, dict):
        return node
    inner = {key: value if key == "if" else _or_placeholders(value) for key, value in node.items()}
    if isinstance(inner.get("properties"), dict):
        inner["properties"] = {key: _either(part) for key, part in inner["properties"].items()}
    if isinstance(inner.get("items"), dict):
        inner["items"] = _either(inner["items"])
    return inner


def _either(part: Any) -> Any:
    if part is False:
        return part
    described = isinstance(part, dict) and "description" in part
    return {"anyOf": [part, *_PLACEHOLDERS]} | (
        {"description": part["description"]} if described else {}
    )
