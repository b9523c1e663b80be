"""The form of a suite, `tests.yaml` beside a definition: its models, and what is wrong with one.

docs/testing-processes.md tells people of it. The JSON Schema for editors is made from the models,
published at /schemas/tests.schema.json, and lies beside this module in the wheel.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from coe.errors import Problem
from coe.json_types import JSON
from coe.language.durations import Duration
from coe.language.fields import TAG, Model
from coe.language.load import problems_of
from coe.language.source import Source, Unreadable, read
from coe.machine.facts import FactKind
from coe.testing.stubs import fault_of

# The schema as it is shipped: `write` makes it, and a test holds it against the models.
FILE: Final = Path(__file__).with_name("tests.schema.json")

_HUMAN: Final = frozenset({"outcome", "answer", "reason", "by"})


def _literal(value: Duration) -> Duration:
    if value.milliseconds is None:
        kind = "wrong_type"
        raise PydanticCustomError(kind, "must be a length of time, not an expression")
    return value


def _fault(value: object) -> object:
    try:
        fault_of(value)  # type: ignore[arg-type] # it says so itself
    except ValueError as error:
        kind = "wrong_type"
        raise PydanticCustomError(kind, "{reason}", {"reason": str(error)}) from None
    return value


def _moment(value: str) -> str:
    try:
        zoned = datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        zoned = False
    if not zoned:
        kind = "wrong_type"
        raise PydanticCustomError(kind, "must be a time with its zone, as 2026-01-05T09:00:00Z")
    return value


_LENGTH: Final = {
    "anyOf": [{"type": "string", "pattern": "^P"}, {"type": "object", "minProperties": 1}],
    "description": "ISO 8601, such as PT4H, or an object, such as {hours: 4}",
}
_FAULT: Final = {
    "anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "object"}],
    "description": "A status, the name of a standard error, or {type, status, title, detail}",
}
Length = Annotated[Duration, AfterValidator(_literal), WithJsonSchema(_LENGTH)]
Fault = Annotated[JSON, AfterValidator(_fault), WithJsonSchema(_FAULT)]
Moment = Annotated[
    str, AfterValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]

_ONE: Final = Tag(f"{TAG}one")
_SEVERAL: Final = Tag(f"{TAG}several")
_BY_NUMBER: Final = Discriminator(
    lambda value: f"{TAG}several" if isinstance(value, list | tuple) else f"{TAG}one"
)


class Answer(Model):
    """What the outside answers when a step asks: a call's output or fault, a person's decision."""

    NULLABLE = frozenset({"output", "answer", "reason"})

    after: Length | None = None
    output: JSON = None
    fault: Fault = None
    error: dict[str, JSON] | None = None
    silent: StrictBool = False
    outcome: str | None = None
    answer: JSON = None
    reason: str | None = None
    by: str | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> Answer:
        given = self.model_fields_set
        forms = given & {"output", "fault", "error"}
        if self.silent:
            forms |= {"silent"}
        forms |= given & _HUMAN and {"outcome"}
        if len(forms) > 1:
            kind = "one_answer"
            found = " and ".join(f"`{name}`" for name in sorted(forms))
            raise PydanticCustomError(kind, "an answer is one thing, not {found}", {"found": found})
        return self


class Fact(Model):
    """What else is put into the journal, and when: a cancellation, a retry of the run."""

    NULLABLE = frozenset({"data"})

    after: Length | None = None
    kind: FactKind
    key: str = ""
    data: JSON = None


class AtOnce(Model):
    """Steps of branches that run at once: each branch in its order, all of them interleaved."""

    at_once: tuple[tuple[str, ...], ...] = Field(min_length=1)


class ExpectedStep(Model):
    """What is expected of one execution of a step; `at` counts from the start of the run."""

    NULLABLE = frozenset({"error", "iteration"})

    path: str | None = None
    kind: str | None = None
    state: (
        Literal["RUNNING", "WAITING", "COMPLETED", "FAULTED", "CANCELLED", "SKIPPED", "RETRYING"]
        | None
    ) = None
    attempt: StrictInt | None = None
    iteration: str | None = None
    error: dict[str, JSON] | None = None
    at: Length | None = None
    took: Length | None = None


class ExpectedCall(Model):
    """What is expected of one request to the outside; `at` and `due` count from the run's start."""

    NULLABLE = frozenset({"arguments"})

    name: str
    arguments: JSON = None
    at: Length | None = None
    due: Length | None = None


class ExpectedError(Model):
    """What is expected of the error; `type` may be the name of a standard one."""

    type: str | None = None
    status: StrictInt | None = None
    title: str | None = None
    detail: str | None = None
    instance: str | None = None


PathPart = Annotated[
    Annotated[str, _ONE] | Annotated[AtOnce, _SEVERAL],
    Discriminator(lambda value: f"{TAG}one" if isinstance(value, str) else f"{TAG}several"),
]
OneOrSeveralSteps = Annotated[
    Annotated[ExpectedStep, _ONE] | Annotated[tuple[ExpectedStep, ...], _SEVERAL], _BY_NUMBER
]
Called = Annotated[Annotated[StrictInt, _ONE] | Annotated[tuple[JSON, ...], _SEVERAL], _BY_NUMBER]


class Expected(Model):
    """What must come of the run; what is not mentioned may be anything."""

    NULLABLE = frozenset({"output", "output_includes"})

    state: Literal["COMPLETED", "FAULTED", "CANCELLED", "WAITING"] | None = None
    output: JSON = None
    output_includes: JSON = None
    output_schema: dict[str, JSON] | None = None
    error: ExpectedError | None = None
    path: tuple[PathPart, ...] | None = None
    steps: dict[str, OneOrSeveralSteps] = Field(default_factory=dict)
    calls: tuple[ExpectedCall, ...] | None = None
    called: dict[str, Called] = Field(default_factory=dict)
    events: tuple[dict[str, JSON], ...] | None = None
    waiting: tuple[str, ...] | None = None
    took: Length | None = None


OneOrSeveralAnswers = Annotated[
    Annotated[Answer, _ONE] | Annotated[tuple[Answer, ...], _SEVERAL], _BY_NUMBER
]


class Outside(Model):
    """What a run meets: its input, and what its steps, people and events answer."""

    NULLABLE = frozenset({"input"})

    parameters: dict[str, JSON] = Field(default_factory=dict)
    input: JSON = None
    stubs: dict[str, OneOrSeveralAnswers] = Field(default_factory=dict)
    events: tuple[dict[str, JSON], ...] = ()
    facts: tuple[Fact, ...] = ()
    now: Moment | None = None
    secrets: dict[str, JSON] = Field(default_factory=dict)
    flows: dict[str, str] = Field(default_factory=dict)


class Test(Outside):
    """One case: what the run meets, and what must come of it."""

    __test__ = False  # no test of pytest's

    name: str = Field(min_length=1)
    expect: Expected


class Suite(Model):
    """The tests of a definition; `defaults` hold for each test that does not say otherwise."""

    defaults: Outside = Field(default_factory=Outside)
    tests: tuple[Test, ...]

    @model_validator(mode="after")
    def _some(self) -> Suite:
        if not self.tests:
            kind = "no_tests"
            raise PydanticCustomError(kind, "there is no test here")
        return self


@dataclass(frozen=True, slots=True)
class Written:
    """A suite as it was written: each test as plain data with the defaults filled in.

    `source` locates the pointer of a test, /tests/0 and so on.
    """

    tests: tuple[dict[str, JSON], ...]
    source: Source


def read_suite(text: str, *, file: str | None = None) -> tuple[Written | None, tuple[Problem, ...]]:
    """The tests of a `tests.yaml`; none where there are problems."""
    try:
        source = read(text, file=file)
    except Unreadable as error:
        return None, (error.problem,)
    try:
        Suite.model_validate(source.data)
    except ValidationError as error:
        return None, tuple(problems_of(error, source, Suite))
    data: Any = source.data
    defaults = data.get("defaults", {})
    return Written(tuple(_filled(test, defaults) for test in data["tests"]), source), ()


def _filled(test: dict[str, JSON], defaults: dict[str, JSON]) -> dict[str, JSON]:
    """A test with the defaults: objects by their members, `input` and all else as a whole."""
    filled = dict(defaults)
    for key, value in test.items():
        base = filled.get(key)
        merged = key != "input" and isinstance(base, dict) and isinstance(value, dict)
        filled[key] = {**base, **value} if merged else value  # type: ignore[dict-item] # both are
    return filled


def suite_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a suite."""
    schema = Suite.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tests",
        "description": "The tests of a flow or a template: tests.yaml beside its definition",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
    }


def write() -> None:
    """Write the schema to its file."""
    FILE.write_text(json.dumps(suite_schema(), indent=1, ensure_ascii=False) + "\n")
