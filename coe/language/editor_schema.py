"""The JSON Schema of the profile, for editors: generated from the models and the functions.

The specification's schema accepts every document that this one accepts. The loader accepts a little
more, and the linter reports what other runtimes refuse (OWS045).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from coe.json_types import JSON
from coe.language.functions import FUNCTIONS, CatalogFunction
from coe.language.model.definition import Definition

# The published schema: `write` generates it, and a test compares it with the models.
SCHEMA_FILE: Final = Path(__file__).with_name("flow.schema.json")


# What the catalog reads of `document.metadata`; every other key is free.
_TEXT: Final[dict[str, JSON]] = {"type": "string", "minLength": 1}
_METADATA: Final[dict[str, JSON]] = {
    "owner": _TEXT | {"description": "The team that owns the flow: the namespace"},
    "processOwner": _TEXT | {"description": "The person who answers for the process"},
    "deputy": _TEXT | {"description": "Who answers in the absence of the process owner"},
    "domain": _TEXT | {"description": "A part of the company, such as order-to-cash"},
    "dataClass": {
        "enum": ["PUBLIC", "INTERNAL", "CONFIDENTIAL", "PERSONAL"],
        "description": "How sensitive the data is: decides who may read it",
    },
    "tags": {"type": "array", "items": _TEXT, "description": "Words by which it is found"},
    "systems": {
        "type": "array",
        "items": _TEXT,
        "description": "Refs of the systems that it uses, such as sales/crm",
    },
    "description": {"type": "string", "description": "Markdown"},
    "timeZone": _TEXT | {"description": "The IANA zone of `schedule.cron`; UTC by default"},
}
_EXPRESSION: Final[dict[str, JSON]] = {"type": "string", "pattern": r"^\s*\$\{[\s\S]*\}\s*$"}


def profile_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a flow's definition."""
    schema = Definition.model_json_schema()
    schema["$defs"]["Document"]["properties"]["metadata"]["properties"] = _METADATA
    _add_functions(schema["$defs"]["CallFunction"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flow",
        "description": "A flow's definition: our profile of the Open Workflow DSL 1.0.3",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
    }


def _add_functions(call: dict[str, Any]) -> None:
    """Name the functions of the default catalog, and check the arguments of each."""
    functions = [each for each in FUNCTIONS.values() if each.name != "parallelMap"]
    call["properties"]["call"]["anyOf"] = [
        *({"const": each.call, "description": each.summary} for each in functions),
        {"type": "string"},
    ]
    call["allOf"] = [
        {
            "if": {"properties": {"call": {"pattern": _written(each)}}, "required": ["call"]},
            "then": {"properties": {"with": _or_expressions(each.arguments)}, "required": ["with"]},
        }
        for each in functions
    ]


def _written(function: CatalogFunction) -> str:
    """A pattern of `call`: the catalog may be left out."""
    return f"^{function.name}:{function.version}(?:@default)?$"


def _or_expressions(schema: Any, *, top: bool = True) -> Any:
    """A schema of arguments, in which each value may be an expression instead."""
    if not isinstance(schema, dict):
        return schema
    own = {
        key: {name: _or_expressions(part, top=False) for name, part in value.items()}
        if key == "properties"
        else _or_expressions(value, top=False)
        if key == "items"
        else value
        for key, value in schema.items()
    }
    if top or not own or own == {"description": own.get("description")}:
        return own
    description = own.pop("description", None)
    either = {"anyOf": [own, _EXPRESSION]}
    return either | ({"description": description} if description else {})


def write() -> None:
    """Write the schema to its file."""
    SCHEMA_FILE.write_text(json.dumps(profile_schema(), indent=1, ensure_ascii=False) + "\n")
