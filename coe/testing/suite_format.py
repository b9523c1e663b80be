"""The format of a suite, `tests.yaml` beside a definition: models, validation and JSON Schema.

docs/testing-processes.md documents it. The JSON Schema for editors is generated from the models,
published at /schemas/tests.schema.json, and shipped beside this module in the wheel.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
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
from coe.formats import durations, instants
from coe.json_types import JSON
from coe.language.durations import Duration
from coe.language.fields import TAG, Model
from coe.language.load import problems_of
from coe.language.source import Source, Unreadable, read
from coe.machine.facts import FactKind
from coe.testing.stubs import fault_of

# The shipped schema: `write_schema` generates it, and a test compares it with the models.
SUITE_SCHEMA_FILE: Final = Path(__file__).with_name("tests.schema.json")

_HUMAN: Final = frozenset({"outcome", "answer", "reason", "by"})


def _literal(value: Duration) -> Duration:
    if value.milliseconds is None:
        kind = "wrong_type"
        raise PydanticCustomError(kind, "must be a duration, not an expression")
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
        instants.read(value)
    except ValueError:
        kind = "wrong_type"
        raise PydanticCustomError(kind, f"must be {instants.WANTED}") from None
    return value


_LENGTH: Final = {
    "anyOf": [
        {"type": "string", "pattern": durations.PATTERN},
        {"type": "object", "minProperties": 1},
    ],
    "description": "ISO 8601, such as PT4H, or an object, such as {hours: 4}",
}
_FAULT: Final = {
    "anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "object"}],
    "description": "A status, the name of a standard error, or {type, status, title, detail}",
}
DurationField = Annotated[Duration, AfterValidator(_literal), WithJsonSchema(_LENGTH)]
StubFault = Annotated[JSON, AfterValidator(_fault), WithJsonSchema(_FAULT)]
TimeField = Annotated[
    str, AfterValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]

_ONE: Final = Tag(f"{TAG}one")
_SEVERAL: Final = Tag(f"{TAG}several")
_BY_NUMBER: Final = Discriminator(
    lambda value: f"{TAG}several" if isinstance(value, list | tuple) else f"{TAG}one"
)


class PersonAnswer(Model):
    """The answer of one of several people to a human task that needs their approvals."""

    NULLABLE = frozenset({"answer", "reason"})

    after: DurationField | None = None
    outcome: str | None = None
    answer: JSON = None
    reason: str | None = None
    by: str


class StubAnswer(Model):
    """The answer to a step: the output or fault of a call, or the decision of people.

    `answers` are those of several people to a human task, in the order in which they give them.
    """

    NULLABLE = frozenset({"output", "answer", "reason"})

    after: DurationField | None = None
    output: JSON = None
    fault: StubFault = None
    error: dict[str, JSON] | None = None
    silent: StrictBool = False
    outcome: str | None = None
    answer: JSON = None
    reason: str | None = None
    by: str | None = None
    answers: Annotated[tuple[PersonAnswer, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> StubAnswer:
        given = self.model_fields_set
        forms = given & {"output", "fault", "error", "answers"}
        if self.silent:
            forms |= {"silent"}
        forms |= given & _HUMAN and {"outcome"}
        if len(forms) > 1:
            kind = "one_answer"
            found = " and ".join(f"`{name}`" for name in sorted(forms))
            raise PydanticCustomError(kind, "an answer is one thing, not {found}", {"found": found})
        return self


class InjectedFact(Model):
    """A fact put into the journal at a time, such as a cancellation or a retry of the run."""

    NULLABLE = frozenset({"data"})

    after: DurationField | None = None
    kind: FactKind
    key: str = ""
    data: JSON = None


class AtOnce(Model):
    """Steps of concurrent branches: each branch in its order, the branches interleaved."""

    at_once: tuple[tuple[str, ...], ...] = Field(min_length=1)


class ExpectedStep(Model):
    """An expected execution of a step; `at` counts from the start of the run."""

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
    at: DurationField | None = None
    took: DurationField | None = None


class ExpectedCall(Model):
    """An expected request of a step; `at` and `due` count from the start of the run."""

    NULLABLE = frozenset({"arguments"})

    name: str
    arguments: JSON = None
    at: DurationField | None = None
    due: DurationField | None = None


class ExpectedError(Model):
    """The expected error; `type` may be the name of a standard error."""

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
    """The expected result of the run; anything not mentioned is not checked."""

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
    took: DurationField | None = None


OneOrSeveralAnswers = Annotated[
    Annotated[StubAnswer, _ONE] | Annotated[tuple[StubAnswer, ...], _SEVERAL], _BY_NUMBER
]


class RunSetup(Model):
    """The setup of a run: its input, and the answers, events and facts that it receives."""

    NULLABLE = frozenset({"input"})

    parameters: dict[str, JSON] = Field(default_factory=dict)
    input: JSON = None
    stubs: dict[str, OneOrSeveralAnswers] = Field(default_factory=dict)
    events: tuple[dict[str, JSON], ...] = ()
    facts: tuple[InjectedFact, ...] = ()
    now: TimeField | None = None
    secrets: dict[str, JSON] = Field(default_factory=dict)
    flows: dict[str, str] = Field(default_factory=dict)


class ProcessTest(RunSetup):
    """One test: the setup of the run, and the expected result."""

    __test__ = False  # pytest must not collect it

    name: str = Field(min_length=1)
    expect: Expected


class Suite(Model):
    """The tests of a definition; `defaults` apply to each test without its own values."""

    defaults: RunSetup = Field(default_factory=RunSetup)
    tests: tuple[ProcessTest, ...]

    @model_validator(mode="after")
    def _some(self) -> Suite:
        if not self.tests:
            kind = "no_tests"
            raise PydanticCustomError(kind, "the list of tests is empty")
        return self


@dataclass(frozen=True, slots=True)
class WrittenSuite:
    """The tests of a file as plain data, with the defaults filled in.

    `source` locates the pointer of a test, /tests/0 and so on.
    """

    tests: tuple[dict[str, JSON], ...]
    source: Source


def read_suite(
    text: str, *, file: str | None = None
) -> tuple[WrittenSuite | None, tuple[Problem, ...]]:
    """Read a `tests.yaml`: its tests, or its problems."""
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
    return WrittenSuite(tuple(_filled(test, defaults) for test in data["tests"]), source), ()


def _filled(test: dict[str, JSON], defaults: dict[str, JSON]) -> dict[str, JSON]:
    """Fill in the defaults: members of objects one by one, `input` and the rest as a whole."""
    filled = dict(defaults)
    for key, value in test.items():
        base = filled.get(key)
        merged = key != "input" and isinstance(base, dict) and isinstance(value, dict)
        filled[key] = {**base, **value} if merged else value  # type: ignore[dict-item] # both are
    return filled


def suite_schema() -> dict[str, Any]:
    """Generate the JSON Schema (2020-12) of a suite."""
    schema = Suite.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tests",
        "description": "The tests of a flow or a template: tests.yaml beside its definition",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
    }


def write_schema() -> None:
    """Write the generated schema to its file."""
    SUITE_SCHEMA_FILE.write_text(json.dumps(suite_schema(), indent=1, ensure_ascii=False) + "\n")
