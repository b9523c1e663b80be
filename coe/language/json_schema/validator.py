"""JSON Schema 2020-12, applied by `jsonschema-rs`, the only place that imports it.

A schema and a value come from whoever asks, and the library cannot be interrupted. These bounds
stand before it:

- nothing is fetched: a reference leads to a part of its own document;
- patterns run in a linear-time engine, which has neither look-around nor back-references, and
  whose size is limited;
- a schema and a value that are small together are applied at once; for others the work is counted
  first (`effort`), and refused when it is too much;
- the library finds all errors or one: where all of them might fill the memory, it finds one.

The counts depend on the schema and the value alone, never on a clock: a replay decides the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from coe.json_types import JSON
from coe.language.json_schema.effort import Effort, TooMuchWork, effort, matching_steps, states
from coe.language.json_schema.references import References

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MAX_EFFORT: Final = 50_000_000
"""Steps that the library may take for one value: a second or two at worst."""
MAX_VALUE_DEPTH: Final = 254
"""Levels of objects and arrays inside one another; the library's stack bears some thousands."""
# Bytes of a schema, times bytes of a value, up to which the work is not counted.
_MAX_PRODUCT: Final = 500_000_000
# Up to these the library finds all errors of a value, and beyond them one.
_MAX_ERRORS: Final = 50_000
_MAX_COPIED: Final = 200_000_000
_MAX_PATTERN_SIZE: Final = 1 << 20  # bytes of a compiled expression
# Keywords whose size in bytes says nothing about the work.
_COUNTED: Final = ("$ref", "$dynamicRef", "unevaluatedProperties", "unevaluatedItems")


class CannotValidate(Exception):
    """A value cannot be checked against a schema. The reason completes "its schema …"."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    document: JSON
    size: int
    # Whether the work has to be counted even for small values.
    counted: bool
    # States of its regular expressions, for each of which a character may take a step.
    states: int
    references: References = field(repr=False)
    validator: Validator = field(repr=False)

    def is_small_for(self, size: int) -> bool:
        """Whether applying it to so many bytes cannot be too much work, so need not be counted."""
        product = self.size * size
        return not self.counted and product <= _MAX_PRODUCT and self.states * size <= MAX_EFFORT

    def effort(self, value: JSON) -> Effort:
        return effort(self.document, value, self.references.targets)


def is_dialect(uri: JSON) -> bool:
    """Whether the value of `$schema` names the dialect that is read here (Core, section 8.1.1)."""
    return isinstance(uri, str) and uri.removesuffix("#") == DIALECT


def is_pattern(text: str) -> bool:
    """Whether a text is a regular expression that can be used here."""
    return _pattern(text) is not None


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern is found anywhere in a text.

    A text that is not a pattern is found nowhere. Nor is a pattern in a text that is too long for
    it: see `MAX_EFFORT`.
    """
    compiled = _pattern(pattern)
    if compiled is None or matching_steps(pattern, text) > MAX_EFFORT:
        return False
    return compiled.is_valid(_without_surrogates(text))


def errors(schema: JSON, value: JSON) -> list[ValidationError]:
    """The errors of a value in the library's order, which is not defined.

    Raises:
        CannotValidate: The schema is not valid, or applying it takes too much work.
    """
    if not isinstance(schema, dict | bool):
        raise CannotValidate("is not a JSON Schema")
    try:
        compiled = _compiled(_text(schema))
        value, size = _measured(value)
        if not compiled.is_small_for(size):
            _check_effort(compiled.effort(value))
        return [] if compiled.validator.is_valid(value) else _found(compiled, value)
    except TooMuchWork:
        raise CannotValidate("takes too much work to apply") from None
    except ValueError:
        raise CannotValidate("cannot be applied to a value that is not JSON") from None


def _check_effort(effort: Effort) -> None:
    if effort.steps > MAX_EFFORT:
        raise TooMuchWork


def _found(compiled: _Compiled, value: JSON) -> list[ValidationError]:
    """The errors of a value that does not match: all of them, or the first of a large value."""
    too_large = CannotValidate("is not matched, and the value is too large to say where")
    try:
        effort = compiled.effort(value)
    except TooMuchWork:
        raise too_large from None
    if effort.copied > _MAX_COPIED:
        raise too_large
    found: list[ValidationError] = []
    if effort.errors <= _MAX_ERRORS:
        found = list(compiled.validator.iter_errors(value))
    else:
        from jsonschema_rs import ValidationError  # noqa: PLC0415  # slow to import

        try:
            compiled.validator.validate(value)
        except ValidationError as error:
            found = [error]
    if not found:
        raise CannotValidate("is not matched")
    return found


# ---------------------------------------------------------------- schemas
@lru_cache(maxsize=512)
def _compiled(text: bytes) -> _Compiled:
    document = json.loads(text)
    if isinstance(document, dict) and not is_dialect(document.get("$schema", DIALECT)):
        raise CannotValidate(f"is not of the dialect {DIALECT}")
    references = References(document)
    if not all(map(is_dialect, references.dialects)):
        raise CannotValidate(f"has a part that is not of the dialect {DIALECT}")
    validator = _build(document, references)
    if references.unresolved:
        raise CannotValidate(_unresolved(references))
    counted = any(f'"{keyword}"'.encode() in text for keyword in _COUNTED)
    return _Compiled(document, len(text), counted, _states(document), references, validator)


def _unresolved(references: References) -> str:
    return f"refers to `{references.unresolved}`, which is not there"


def _states(document: JSON) -> int:
    """The states of all texts in a schema that may be regular expressions."""
    found, waiting = 0, [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            patterns = part.get("patternProperties")
            keys = list(patterns) if isinstance(patterns, dict) else []
            found += sum(states(str(each)) for each in (*keys, part.get("pattern", "")))
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return found


def _build(document: Any, references: References) -> Validator:
    import jsonschema_rs  # noqa: PLC0415  # slow to import

    try:
        return jsonschema_rs.Draft202012Validator(
            document,
            validate_formats=True,
            offline=True,
            mask="the value",
            pattern_options=jsonschema_rs.RegexOptions(size_limit=_MAX_PATTERN_SIZE),
            # RFC 5321 section 4.1.2: a mailbox has no name before the address.
            email_options=jsonschema_rs.EmailOptions(allow_display_text=False),
        )
    except ValueError as error:
        kind = getattr(getattr(error, "kind", None), "name", None)
        if kind == "$ref" and references.unresolved:
            raise CannotValidate(_unresolved(references)) from None
        raise CannotValidate("is not a JSON Schema") from None


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> Validator | None:
    document: Any = {"pattern": pattern}
    try:
        return _build(document, References(document))
    except CannotValidate:
        return None


def _text(schema: JSON) -> bytes:
    try:
        return orjson.dumps(schema)
    except TypeError:  # a whole number of more than 64 bits, or half a surrogate pair
        return json.dumps(_copied(schema)).encode()


# ---------------------------------------------------------------- values
def _measured(value: JSON) -> tuple[JSON, int]:
    """A value that the library can read, and its size in bytes as JSON."""
    try:
        return value, len(orjson.dumps(value))
    except TypeError:
        value = _copied(value)
        return value, len(json.dumps(value))


def _copied(value: JSON, level: int = 0) -> JSON:
    """A copy without halves of surrogate pairs, which are no Unicode (RFC 8259, section 8.2)."""
    if level > MAX_VALUE_DEPTH:
        raise TooMuchWork
    if isinstance(value, dict):
        return {
            _without_surrogates(str(key)): _copied(item, level + 1) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_copied(item, level + 1) for item in value]
    if isinstance(value, str):
        return _without_surrogates(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise ValueError("no JSON")


def _without_surrogates(text: str) -> str:
    return text.encode(errors="replace").decode()
