"""Check documents that come in as files against their pydantic models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from coe.errors import Problem
from coe.json_types import JSON
from coe.language.source import Source, point
from coe.language.suggestions import closest

ModelT = TypeVar("ModelT", bound=BaseModel)
CODE = "INPUT_MANIFEST"


def validate(
    model: type[ModelT],
    source: Source,
    *,
    at: Sequence[str] = (),
) -> tuple[ModelT | None, tuple[Problem, ...]]:
    """Validate a document, or the part of it at these keys: its model, or located problems.

    A part that is not there counts as an empty object.
    """
    part: JSON = source.data
    for key in at:
        part = part.get(key, {}) if isinstance(part, dict) else part
    try:
        found = model.model_validate(part)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    else:
        unstorable = tuple(source.unstorable())
        return (None, unstorable) if unstorable else (found, ())
    known = [field.alias or name for name, field in model.model_fields.items()]
    return None, tuple(_problem(each, source, at, known) for each in details)


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
            near = closest(key, known) if len(location) == 1 else None
            help = f"did you mean {near!r}?" if near else None
        case "missing":
            message = f"{key!r} is missing"
        case "string_pattern_mismatch":
            message = f"{key!r} does not fit the pattern {detail['ctx']['pattern']}"
        case _:
            message = f"{key}: {detail['msg']}" if key else detail["msg"]
    return source.problem(CODE, message, point(*at, *location), help=help)
