"""JSON Schema 2020-12, applied by `jsonschema-rs`, the only place that imports it.

A schema and a value come from whoever asks, and the library cannot be interrupted. These bounds
stand before it:

- nothing is fetched: a reference leads to a part of its own document;
- patterns are read as ECMA-262 has them (`ecmascript`), and run in a linear-time engine whose size
  is limited;
- a schema and a value that are small together are applied at once; for others the work is counted
  first (`effort`), and refused when it is too much;
- the library finds all errors or one: where all of them might fill the memory, it finds one.

The counts depend on the schema and the value alone, never on a clock: a replay decides the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from coe.json_types import JSON
from coe.language.json_schema.ecmascript import NotAPattern, NotSupported, read_pattern
from coe.language.json_schema.effort import (
    Allowance,
    Effort,
    TooMuchWork,
    effort,
    matching_steps,
    states,
)
from coe.language.json_schema.references import References

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

FORMATS: Final = frozenset(
    (
        *("date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname"),
        *("ipv4", "ipv6", "iri", "iri-reference", "json-pointer", "regex"),
        *("relative-json-pointer", "time", "uri", "uri-reference", "uri-template", "uuid"),
    )
)
"""The values of `format` that are asserted; others only describe."""
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
# Of a schema and a value, multiplied, for which the library takes a step at most.
_BYTES_PER_STEP: Final = 10
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

    def take(self, allowance: Allowance, value: JSON, size: int) -> None:
        """Take what applying it to a value takes; it is counted where a rough bound is too much."""
        rough = max(self.size * size // _BYTES_PER_STEP, self.states * size)
        if self.counted or rough > allowance.left // 2:
            allowance.take(self.effort(value).to_apply)
        else:
            allowance.take(rough)

    def effort(self, value: JSON) -> Effort:
        return effort(self.document, value, self.references.targets)


def is_dialect(uri: JSON) -> bool:
    """Whether the value of `$schema` names the dialect that is read here (Core, section 8.1.1)."""
    return isinstance(uri, str) and uri.removesuffix("#") == DIALECT


def matches(pattern: str, text: str, *, whole: bool = False) -> bool:
    """Whether a pattern is found anywhere in a text, or with `whole` matches all of it.

    A text that is not a pattern is found nowhere. Nor is a pattern in a text that is too long for
    it: see `MAX_EFFORT`.
    """
    try:
        alternatives = _alternatives(pattern, whole=whole)
    except NotAPattern:
        return False
    return _found_in(alternatives, pattern, text)


def check_pattern(pattern: str, *, whole: bool = False) -> None:
    """Check that a text is a regular expression that can be used here; see `matches`.

    Raises:
        NotAPattern: It is not; the message completes "it …".
    """
    _alternatives(pattern, whole=whole)


def check_key_pattern(pattern: str) -> None:
    """Check a key of `patternProperties`, to which the library applies its own reader.

    Raises:
        NotAPattern: It is not a pattern, or one that the library reads otherwise.
    """
    _alternatives(pattern)
    if not read_pattern(pattern).is_plain:
        raise NotAPattern("has what is supported in `pattern` alone, such as look-around or `\\b`")


def has_format(name: str, text: str) -> bool:
    """Whether a text has one of the `FORMATS`."""
    return _format(name).is_valid(_without_surrogates(text))


def errors(schema: JSON, value: JSON, allowance: Allowance | None = None) -> list[ValidationError]:
    """The errors of a value in the library's order, which is not defined.

    `allowance` is what this and other validations may take together.

    Raises:
        CannotValidate: The schema is not valid, or applying it takes too much work.
    """
    if not isinstance(schema, dict | bool):
        raise CannotValidate("is not a JSON Schema")
    try:
        if allowance is not None:
            allowance.take(1)
        compiled = _compiled(_text(schema))
        value, size = _measured(value)
        if allowance is not None:
            compiled.take(allowance, value, size)
        if not compiled.is_small_for(size):
            _check_effort(compiled.effort(value))
        return [] if compiled.validator.is_valid(value) else _found(compiled, value, allowance)
    except TooMuchWork:
        raise CannotValidate("takes too much work to apply") from None
    except ValueError:
        raise CannotValidate("cannot be applied to a value that is not JSON") from None


def _check_effort(effort: Effort) -> None:
    if effort.steps > MAX_EFFORT:
        raise TooMuchWork


def _found(
    compiled: _Compiled, value: JSON, allowance: Allowance | None = None
) -> list[ValidationError]:
    """The errors of a value that does not match: all of them, or the first of a large value."""
    too_large = CannotValidate("is not matched, and the value is too large to say where")
    try:
        effort = compiled.effort(value)
    except TooMuchWork:
        raise too_large from None
    if effort.copied > _MAX_COPIED:
        raise too_large
    if allowance is not None:
        allowance.take(effort.to_apply + effort.to_explain)
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
    validator = _build(document, references, keywords=_keywords(document))
    if references.unresolved:
        raise CannotValidate(_unresolved(references))
    counted = any(f'"{keyword}"'.encode() in text for keyword in _COUNTED)
    return _Compiled(document, len(text), counted, _states(document), references, validator)


def _unresolved(references: References) -> str:
    return f"refers to `{references.unresolved}`, which is not there"


def _states(document: JSON) -> int:
    """The states of all texts in a schema that may be regular expressions."""
    return sum(states(each) for each in (*_patterns(document), *_key_patterns(document)))


def _keywords(document: JSON) -> dict[str, type[_PatternKeyword]] | None:
    """The keywords that the library must not apply itself.

    Raises:
        CannotValidate: A key of `patternProperties` cannot be used.
    """
    try:
        for each in _key_patterns(document):
            check_key_pattern(each)
    except NotAPattern:
        raise CannotValidate("is not a JSON Schema") from None
    is_plain = all(map(_is_plain, _patterns(document)))
    return None if is_plain else {"pattern": _PatternKeyword}


def _is_plain(pattern: str) -> bool:
    """Whether the library applies a pattern as ECMA-262 does; the text may be data, and none."""
    try:
        return read_pattern(pattern).is_plain
    except NotAPattern:
        return False


def _patterns(document: JSON) -> Iterator[str]:
    """Find the texts that may be patterns."""
    return (part["pattern"] for part in _objects(document) if isinstance(part.get("pattern"), str))


def _key_patterns(document: JSON) -> Iterator[str]:
    for part in _objects(document):
        keys = part.get("patternProperties")
        yield from keys if isinstance(keys, dict) else ()


def _objects(document: JSON) -> Iterator[dict[str, Any]]:
    waiting = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _build(document: Any, references: References, *, keywords: Any = None) -> Validator:
    try:
        return _validator(document, keywords)
    except ValueError as error:
        kind = getattr(getattr(error, "kind", None), "name", None)
        if kind == "$ref" and references.unresolved:
            raise CannotValidate(_unresolved(references)) from None
        raise CannotValidate("is not a JSON Schema") from None


def _validator(document: Any, keywords: Any = None) -> Validator:
    import jsonschema_rs  # noqa: PLC0415  # slow to import

    return jsonschema_rs.Draft202012Validator(
        document,
        validate_formats=True,
        offline=True,
        mask="the value",
        formats={"regex": _is_regex},
        keywords=keywords,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=_MAX_PATTERN_SIZE),
        # RFC 5321 section 4.1.2: a mailbox has no name before the address.
        email_options=jsonschema_rs.EmailOptions(allow_display_text=False),
    )


class _Test(NamedTuple):
    """One question about a text, asked of the engine, and the answer that is wanted."""

    engine: Validator
    is_wanted: bool


@lru_cache(maxsize=1024)
def _alternatives(pattern: str, *, whole: bool = False) -> tuple[tuple[_Test, ...], ...]:
    """What a pattern requires of a text: all tests of one alternative.

    Raises:
        NotAPattern: It cannot be used.
    """
    read = read_pattern(pattern, whole=whole)
    return tuple(
        tuple(_Test(_engine(each.text), each.is_wanted) for each in alternative)
        for alternative in read.alternatives
    )


def _engine(pattern: str) -> Validator:
    """A pattern in the engine's language."""
    document: Any = {"pattern": pattern}
    try:
        return _validator(document)
    except ValueError:
        raise NotAPattern("is too large, or has an unknown script") from None


def _found_in(alternatives: tuple[tuple[_Test, ...], ...], pattern: str, text: str) -> bool:
    if matching_steps(pattern, text) > MAX_EFFORT:
        return False
    text = _without_surrogates(text)
    return any(
        all(test.engine.is_valid(text) == test.is_wanted for test in alternative)
        for alternative in alternatives
    )


class _PatternKeyword:
    """`pattern` for the library, in schemas with patterns that it reads otherwise."""

    def __init__(self, _schema: Any, value: Any, _path: Any) -> None:
        self._pattern = value
        self._alternatives = _alternatives(value)

    def validate(self, instance: Any) -> None:
        """Check one value."""
        if isinstance(instance, str) and not _found_in(self._alternatives, self._pattern, instance):
            raise ValueError("the pattern is not found")


def _is_regex(text: str) -> bool:
    """The format `regex`: what is valid in ECMA-262, but cannot be used here, is valid too."""
    try:
        read_pattern(text)
    except NotSupported:
        return True
    except NotAPattern:
        return False
    return True


@lru_cache(maxsize=len(FORMATS))
def _format(name: str) -> Validator:
    if name not in FORMATS:
        raise ValueError(f"no format of JSON Schema: {name}")
    document: Any = {"format": name}
    return _build(document, References(document))


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
