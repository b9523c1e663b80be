"""Load a definition: text in, typed models and located problems out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from coe.errors import Problem
from coe.language.allowed_keys import keys_at
from coe.language.fields import TAG
from coe.language.model.definition import Definition
from coe.language.model.task import TASK_KEYS
from coe.language.source import Source, Unreadable, point, read
from coe.language.suggestions import closest, did_you_mean

# The most problems that are reported for one document.
MAX_PROBLEMS: Final = 200

# Messages about values, by the type of the validation error.
_VALUE_MESSAGES: Final = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "tuple_type": "must be an array",
    "model_type": "must be an object",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "too_long": "must have {max_length} entries or less",
    "string_too_long": "must have {max_length} characters or less",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "string_pattern_mismatch": "does not have the required form",
}
# The values that can be chosen, as pydantic lists them.
_CHOICE: Final = re.compile(r"'([^']+)'")
# The form that a key's value must have.
_FORMS: Final = {
    "dsl": "a semantic version such as 1.0.3",
    "version": "a semantic version such as 1.4.0",
    "namespace": "letters, digits and hyphens, at most 63",
    "name": "letters, digits and hyphens, at most 63",
    "uri": "a URI such as https://erp.example.com/orders/{id}, or ${ … }",
    "endpoint": "a URI such as https://erp.example.com/orders/{id}, or ${ … }",
}
_CODES: Final = {
    "extra_forbidden": "OWS010",
    "missing": "OWS011",
    "task_type": "OWS013",
    "duration": "OWS014",
    "duration_calendar": "OWS015",
    "one_name": "OWS016",
}
_WRONG_VALUE: Final = "OWS012"
# Codes of problems that are located at a key; the others are located at its value.
_AT_KEY: Final = frozenset(("OWS010", "OWS011", "OWS013", "OWS016"))
# Keys that do not show a task's type.
_SHARED_KEYS: Final = frozenset(
    ("if", "input", "output", "export", "timeout", "then", "metadata", "with", "while", "catch")
)


@dataclass(frozen=True, slots=True)
class LoadedDefinition:
    """The definition (None if the text has errors), its problems, and the document."""

    definition: Definition | None
    problems: tuple[Problem, ...]
    source: Source | None = None


def load(text: str, *, file: str | None = None) -> LoadedDefinition:
    """Read a definition from YAML 1.2 or JSON; problems of the text are returned, not raised."""
    try:
        source = read(text, file=file)
    except Unreadable as error:
        return LoadedDefinition(None, (error.problem,))
    return load_source(source)


def load_source(source: Source) -> LoadedDefinition:
    """Load a definition from a document, or as `Source(data)` from plain data."""
    if not isinstance(source.data, dict):
        problem = Problem("OWS005", "the document must be an object", path="", line=1, column=1)
        return LoadedDefinition(None, (problem,), source)
    try:
        definition = Definition.model_validate(source.data)
    except ValidationError as error:
        return LoadedDefinition(None, tuple(problems_of(error, source)), source)
    unstorable = tuple(source.unstorable())
    if unstorable:
        return LoadedDefinition(None, unstorable, source)
    definition.put(source)
    return LoadedDefinition(definition, (), source)


def problems_of(
    error: ValidationError, source: Source, root: type[BaseModel] = Definition
) -> list[Problem]:
    """The problems of a validation error, located, in the order of the text."""
    details = list(_without_renamed(error.errors(include_url=False)))
    found = [_problem(detail, source, root) for detail in details[:MAX_PROBLEMS]]
    return sorted(found, key=lambda problem: (problem.line or 0, problem.column or 0))


def _without_renamed(details: Sequence[Any]) -> Iterator[Any]:
    """The errors, without those of missing keys that are there with a spelling mistake."""
    unknown: dict[tuple[str | int, ...], list[str]] = {}
    for detail in details:
        if detail["type"] == "extra_forbidden":
            *parent, key = detail["loc"]
            unknown.setdefault(tuple(parent), []).append(str(key))
    for detail in details:
        if detail["type"] == "missing":
            *parent, key = detail["loc"]
            if closest(str(key), unknown.get(tuple(parent), ())) is not None:
                continue
        yield detail


def _problem(detail: Any, source: Source, root: type[BaseModel]) -> Problem:
    kind, location = detail["type"], detail["loc"]
    if kind == "task_type" and (key := misspelt_type(detail["input"])) is not None:
        return _misspelt(key, path_of(location), source)
    if kind == "empty":
        location = (*location, detail["ctx"]["key"])
    path = point(*path_of(location))
    code = _CODES.get(kind, _WRONG_VALUE)
    message, help = _words(detail, location, root)
    if code == "OWS011":
        path = path.rpartition("/")[0]
    return source.problem(code, message, path, value=code not in _AT_KEY, help=help)


def path_of(location: Sequence[str | int]) -> list[str | int]:
    """The path of a validation error in the document: its location without the tags of unions."""
    return [part for part in location if not str(part).startswith(TAG)]


def _misspelt(key: str, task: Sequence[str | int], source: Source) -> Problem:
    """The problem of a key that is nearly the name of a task type."""
    message = f"unknown key `{key}`{did_you_mean(key, TASK_KEYS)}"
    return source.problem("OWS010", message, point(*task, key))


def _words(
    detail: Any, location: tuple[str | int, ...], root: type[BaseModel]
) -> tuple[str, str | None]:
    """The message of a validation error, and the help to fix it."""
    kind, context = detail["type"], detail.get("ctx", {})
    key = next((part for part in reversed(location) if not str(part).startswith(TAG)), "")
    match kind:
        case "extra_forbidden":
            return _unknown_key(str(key), location, root)
        case "task_type":
            return _no_task_type(detail["input"], str(key))
        case "missing":
            words = f"the key `{key}` is missing"
        case "string_pattern_mismatch" if key in _FORMS:
            words = f"`{key}` must be {_FORMS[str(key)]}"
        case "literal_error" | "enum":
            guess = _close_choice(detail["input"], context["expected"])
            words = f"`{key}` {_VALUE_MESSAGES[kind].format(**context)}{guess}"
        case _ if kind in _VALUE_MESSAGES:
            words = f"`{key}` {_VALUE_MESSAGES[kind].format(**context)}"
        case _:
            words = str(detail["msg"])
            words = f"`{key}` {words}" if words.startswith(("must", "needs")) else words
    help = "give it a value, or leave the key out" if kind == "empty" else None
    return words, help


def _close_choice(given: object, expected: str) -> str:
    """A guess at the allowed value that a misspelt one means."""
    return did_you_mean(given, _CHOICE.findall(expected)) if isinstance(given, str) else ""


def _unknown_key(
    key: str, location: tuple[str | int, ...], root: type[BaseModel]
) -> tuple[str, str | None]:
    known = keys_at(root, location[:-1])
    if root is Definition and key in TASK_KEYS and "then" in known:
        return f"a task has one type, and `{key}` is the key of another", None
    if key == "<<":
        return "unknown key `<<`: YAML 1.2 has no merge key", "write the keys out"
    guess = did_you_mean(key, known)
    help = "known here: " + ", ".join(known) if known and not guess else None
    return f"unknown key `{key}`{guess}", help


def misspelt_type(task: object) -> str | None:
    """The key of a task without a type that resembles a task type; None if there is none."""
    keys = task if isinstance(task, dict) else ()
    return next((key for key in keys if key not in _SHARED_KEYS and closest(key, TASK_KEYS)), None)


def _no_task_type(task: object, name: str) -> tuple[str, str | None]:
    kinds = "a task has one of " + ", ".join(TASK_KEYS)
    if task is None:
        return f"the task `{name}` is empty", kinds
    if not isinstance(task, dict):
        return f"the task `{name}` must be an object", kinds
    return f"the task `{name}` has no type", kinds
