"""The JSON Schema of decision tables for editors, and those of a table's input and output.

The first is generated from the models and shipped as a file, so that an editor can use it with
`# yaml-language-server: $schema=…/schemas/decision.schema.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from coe.decisions.conditions import Column
from coe.decisions.document import DecisionDocument, Output
from coe.decisions.table import DecisionTable
from coe.decisions.values import ValueType
from coe.formats import durations
from coe.json_types import JSON
from coe.language.source import tokens

# `write_decision_schema` writes this file, and a test compares it with the models.
DECISION_FILE: Final = Path(__file__).with_name("decision.schema.json")

_SHAPES: Final[dict[ValueType, dict[str, Any]]] = {
    ValueType.STRING: {"type": "string"},
    ValueType.BOOLEAN: {"type": "boolean"},
    ValueType.INTEGER: {"type": ["integer", "string"], "pattern": r"^-?[0-9]{1,60}$"},
    ValueType.NUMBER: {
        "type": ["number", "string"],
        "pattern": r"^-?[0-9]{1,60}(\.[0-9]{1,60})?$",
    },
    ValueType.DATE: {"type": "string", "format": "date"},
    ValueType.DATE_TIME: {"type": "string", "format": "date-time"},
    # Not `format: duration`: that is RFC 3339's, which has no fractions of a second.
    ValueType.DURATION: {"type": "string", "pattern": durations.PATTERN},
}
_NUMBERS: Final = frozenset({ValueType.INTEGER, ValueType.NUMBER})


def decision_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a decision table's document."""
    schema = DecisionDocument.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Decision table",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def write_decision_schema() -> None:
    """Write the schema of the document to its file."""
    text = json.dumps(decision_schema(), indent=1, ensure_ascii=False)
    DECISION_FILE.write_text(text + "\n")


def input_schema(table: DecisionTable) -> dict[str, Any]:
    """The JSON Schema of the data that a table accepts; other members are ignored.

    It accepts a little more than the table, which alone checks the bounds of dates and of numbers
    that are texts.
    """
    schema: dict[str, Any] = {"type": "object"}
    for declared, column in zip(table.document.inputs, table.columns, strict=True):
        _place(schema, column, _shape(declared))
    return schema


def output_schema(table: DecisionTable) -> dict[str, Any]:
    """The JSON Schema of the output of the function `decision` for this table."""
    rules: list[JSON] = [rule.id for rule in table.rules]
    properties: dict[str, Any] = {
        output.name: _answer(table, output) for output in table.document.outputs
    }
    properties |= {
        "decision": {"const": table.ref},
        "digest": {"type": "string"},
        "rules": {
            "type": "array",
            "items": {"enum": [*rules, "default"]},
            "description": "The rules that fired, in their order",
        },
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _answer(table: DecisionTable, output: Output) -> dict[str, Any]:
    shape = _shape(output)
    match table.aggregate:
        case "list":
            return {"type": "array", "items": shape}
        case "count":
            return {"type": "integer", "minimum": 0}
        case "sum" | "min" | "max":
            return _nullable(_SHAPES[output.type])
        case _:
            return shape


def _shape(declared: Output) -> dict[str, Any]:
    if declared.enum is not None and declared.type is ValueType.STRING:
        shape: dict[str, Any] = {"enum": list(declared.enum)}
    else:
        shape = dict(_SHAPES[declared.type])
        for name in ("minimum", "maximum"):
            bound = getattr(declared, name)
            if declared.type in _NUMBERS and isinstance(bound, int | float):
                shape[name] = bound
    for name, text in (("title", declared.label), ("description", declared.description)):
        if text is not None:
            shape[name] = text
    return _nullable(shape) if declared.optional else shape


def _nullable(shape: dict[str, Any]) -> dict[str, Any]:
    if "enum" in shape:
        return shape | {"enum": [*shape["enum"], None]}
    kinds = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
    return shape | {"type": [*kinds, "null"]}


def _place(schema: dict[str, Any], column: Column, shape: dict[str, Any]) -> None:
    """Add the schema of a value at its pointer."""
    *parents, last = tokens(column.path)
    for token in parents:
        schema = _member(schema, token, {"type": "object"}, needed=not column.optional)
    _member(schema, last, shape, needed=not column.optional)


def _member(
    schema: dict[str, Any], name: str, shape: dict[str, Any], *, needed: bool
) -> dict[str, Any]:
    properties = schema.setdefault("properties", {})
    found: dict[str, Any] = properties.setdefault(name, shape)
    required = schema.setdefault("required", [])
    if needed and name not in required:
        required.append(name)
    return found
