"""Documents that come in as files, against their pydantic models: located problems."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from coe.errors import Problem, Severity
from coe.json_types import JSON
from coe.language.json_schema.meta import faults
from coe.language.source import Source, point

ModelT = TypeVar("ModelT", bound=BaseModel)
CODE = "INPUT_MANIFEST"


def validate(
    model: type[ModelT],
    source: Source,
    *,
    at: Sequence[str] = (),
) -> tuple[ModelT | None, tuple[Problem, ...]]:
    """Validate a document, or the part of it at these keys; no model where there are problems.

    A part that is not there counts as an empty object.
    """
    part: JSON = source.data
    for key in at:
        part = part.get(key, {}) if isinstance(part, dict) else part
    try:
        return model.model_validate(part), ()
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    known = [field.alias or name for name, field in model.model_fields.items()]
    return None, tuple(_problem(each, source, at, known) for each in details)


def schema_problems(source: Source, schema: JSON, path: str) -> tuple[Problem, ...]:
    """What is wrong with a JSON Schema that stands at a pointer of the document."""
    return tuple(
        source.problem(
            "INPUT_SCHEMA",
            fault.message,
            fault.path,
            severity=Severity.WARNING if fault.hint else Severity.ERROR,
        )
        for fault in faults(schema, path)
    )


def _problem(
    detail: ErrorDetails,
    source: Source,
    at: Sequence[str],
    known: list[str],
) -> Problem:
    location = tuple(detail["loc"])
    key = str(location[-1]) if location else ""
    help: str | None = None
    match detail["type"]:
        case "extra_forbidden":
            message = f"unknown key {key!r}"
            near = get_close_matches(key, known, n=1) if len(location) == 1 else []
            help = f"did you mean {near[0]!r}?" if near else None
        case "missing":
            message = f"{key!r} is missing"
        case "string_pattern_mismatch":
            message = f"{key!r} does not fit the pattern {detail['ctx']['pattern']}"
        case _:
            message = f"{key}: {detail['msg']}" if key else detail["msg"]
    return source.problem(CODE, message, point(*at, *location), help=help)
