"""JSON Schema validation whose work is bounded, for schemas and values come from whoever asks.

Three things would let a small document occupy a process for hours, and cannot here:

- a regular expression that tries every way to split a text: patterns run in the linear-time engine
  of pydantic, which has neither look-around nor back-references (`is_pattern`);
- references that double at each step, and long lists of alternatives for long lists of items: each
  keyword that is applied takes from a budget;
- lists whose items are compared each with each: `uniqueItems` looks them up instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic_core import SchemaError, SchemaValidator, core_schema

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import ValidationError

MOST_STEPS: Final = 500_000
"""Applications of a keyword, each weighed by the length of what it compares: a second or two."""
_MESSAGE_STEP: Final = 64  # characters of a message that count as a step
_UNEVALUATED: Final = ("unevaluatedItems", "unevaluatedProperties")

Keyword: TypeAlias = Callable[[Any, Any, Any, Any], Iterable["ValidationError"] | None]
_left: ContextVar[list[int]] = ContextVar("coe_schema_steps")


class TooMuchWork(Exception):
    """Whether the value matches the schema cannot be told with a reasonable effort."""


def is_pattern(text: str) -> bool:
    """Whether a text is a regular expression that can be used here."""
    return _compiled(text) is not None


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found anywhere in the text.

    Raises:
        TooMuchWork: It is no pattern that can be used here.
    """
    compiled = _compiled(pattern)
    if compiled is None:
        raise TooMuchWork
    return compiled.isinstance_python(text)


def validator_of(schema: Any, checker: FormatChecker) -> Draft202012Validator:
    """A validator of one schema, for `errors_of`; nothing is fetched for it."""
    from referencing.jsonschema import EMPTY_REGISTRY  # noqa: PLC0415  # slow to import

    validator: Draft202012Validator = _validator_class()(
        schema,
        registry=EMPTY_REGISTRY,
        format_checker=checker,
    )
    return validator


def errors_of(
    validator: Draft202012Validator,
    value: Any,
    *,
    steps: int = MOST_STEPS,
) -> Iterator[ValidationError]:
    """The errors of a value, as the library has them.

    Raises:
        TooMuchWork: The budget is spent, or a pattern of the schema cannot be used.
    """
    _left.set([steps])
    try:
        yield from validator.iter_errors(value)
    except RecursionError:
        raise TooMuchWork from None


# ---------------------------------------------------------------- patterns
@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> SchemaValidator | None:
    form = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True)
    try:
        return SchemaValidator(form)
    except SchemaError:
        return None


def _pattern(_: Any, wanted: str, value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not matches(wanted, value):
        yield _error("the pattern is not matched")


def _pattern_properties(
    validator: Any, wanted: dict[str, Any], value: Any, _: Any
) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    for pattern, schema in wanted.items():
        _spend(len(value))
        for key, item in value.items():
            if matches(pattern, key):
                yield from validator.descend(item, schema, path=key, schema_path=pattern)


def _additional(
    validator: Any, wanted: Any, value: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    extra = unknown_keys(schema, value)
    if isinstance(wanted, dict):
        for key in extra:
            yield from validator.descend(value[key], wanted, path=key)
    elif wanted is False and extra:
        yield _error("there are further properties")


def unknown_keys(schema: dict[str, Any], value: dict[str, Any]) -> list[str]:
    """The keys of an object that neither `properties` nor `patternProperties` name."""
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return [
        key
        for key in value
        if key not in known and not any(matches(pattern, key) for pattern in patterns)
    ]


# ---------------------------------------------------------------- other keywords
def _unique(_: Any, wanted: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    if wanted and isinstance(value, list) and len({_identity(item) for item in value}) < len(value):
        yield _error("an item is there twice")


def _identity(value: Any) -> Any:
    """What two values have in common exactly when JSON Schema calls them equal: 1 is 1.0."""
    if isinstance(value, dict):
        return "object", frozenset((key, _identity(item)) for key, item in value.items())
    if isinstance(value, list):
        return "array", tuple(_identity(item) for item in value)
    return "boolean" if isinstance(value, bool) else "", value


def _unevaluated(keyword: Keyword) -> Keyword:
    """The library's, which looks for patterns with the engine that may never end: not with them."""

    def apply(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
        if _names_patterns(validator._resolver.lookup("#").contents):  # noqa: SLF001  # the root
            raise TooMuchWork
        return keyword(validator, wanted, value, schema)

    return apply


def _names_patterns(schema: Any) -> bool:
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "patternProperties" in part:
                return True
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return False


# ---------------------------------------------------------------- the budget
@lru_cache(maxsize=1)
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415  # slow to import

    library: dict[str, Any] = dict(Draft202012Validator.VALIDATORS)
    own: dict[str, Any] = {name: _unevaluated(library[name]) for name in _UNEVALUATED}
    own |= {
        "additionalProperties": _additional,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "uniqueItems": _unique,
    }
    keywords = {name: _counted(keyword) for name, keyword in (library | own).items()}
    return validators.extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]  # so


def _counted(keyword: Keyword) -> Keyword:
    def apply(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        _spend(1 + _length(wanted) + _length(value))
        for error in keyword(validator, wanted, value, schema) or ():
            if not isinstance(error.validator, str):  # made just now: it quotes the value
                _spend(len(error.message) // _MESSAGE_STEP)
            yield error

    return apply


def _length(value: Any) -> int:
    return len(value) if isinstance(value, dict | list) else 0


def _spend(steps: int) -> None:
    left = _left.get()
    left[0] -= steps
    if left[0] < 0:
        raise TooMuchWork


def _error(message: str) -> ValidationError:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415  # slow to import

    return ValidationError(message)
