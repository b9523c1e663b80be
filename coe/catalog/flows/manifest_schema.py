"""The JSON Schemas of manifests, for editors: generated from the models and shipped as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from coe.catalog.flows.manifest import LocalFlowManifest, ManifestModel

# The published schema: `write` generates it, and a test compares it with the model.
LOCAL_FLOW_FILE: Final = Path(__file__).with_name("local-flow.schema.json")


def manifest_schema(model: type[ManifestModel], title: str, description: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a manifest, with patterns as ECMA-262 has them."""
    schema = model.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        **{
            key: _portable(value)
            for key, value in schema.items()
            if key not in {"title", "description"}
        },
    }


def local_flow_schema() -> dict[str, Any]:
    """The JSON Schema of a local flow's manifest."""
    return manifest_schema(
        LocalFlowManifest, "Local flow", "The manifest of a flow that its team runs itself"
    )


def write_schema(file: Path, schema: dict[str, Any]) -> None:
    """Write a schema to its file."""
    file.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _portable(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: value.replace(r"\Z", "$") if key == "pattern" else _portable(value)
            for key, value in node.items()
        }
    return [_portable(each) for each in node] if isinstance(node, list) else node
