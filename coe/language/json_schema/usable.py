"""Why a value that comes from data cannot be used as a JSON Schema."""

from __future__ import annotations

from coe.errors import Severity
from coe.json_types import JSON
from coe.language.json_schema.effort import Allowance
from coe.language.json_schema.meta import faults
from coe.language.json_schema.violations import UNUSABLE, violations


def schema_obstacles(schema: JSON, allowance: Allowance | None = None) -> list[str]:
    """Why no value can be validated against a schema, or none matches; empty if one can.

    Each has the place in the schema, and never quotes the schema's values. `allowance` is as for
    `violations`.
    """
    if schema is False:
        return ["/: no value matches the schema `false`"]
    obstacles = [
        f"/: it {each.message.removeprefix('its schema ')}"
        for each in violations(schema, None, allowance)
        if each.keyword == UNUSABLE
    ]
    if not obstacles:
        return []
    try:
        located = [
            f"{fault.path or '/'}: {fault.message}"
            for fault in faults(schema)
            if fault.severity is Severity.ERROR
        ]
    except RecursionError:
        located = []
    return located or obstacles
