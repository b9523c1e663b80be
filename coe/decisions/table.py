"""A decision table that was read and checked, and how it decides a case.

A decision is a pure function of the table and the case: the same case has the same answer on every
machine. No message quotes a value of a case, which may be somebody's personal data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import reduce
from typing import Any, Final

from coe.decisions.conditions import Column, Condition, holds, within
from coe.decisions.document import DEFAULT, DecisionDocument
from coe.decisions.values import (
    EXACT,
    SAFE,
    Key,
    ValueType,
    WrongValue,
    decimals_of,
    json_of,
    json_text,
    key_of,
)
from coe.errors import Problem
from coe.json_types import JSON
from coe.language.canonical import digest
from coe.language.source import Source, tokens


class DecisionFaultKind(StrEnum):
    """Why a table has no answer for a case."""

    INPUT = "input"
    NO_RULE = "no rule"
    SEVERAL_RULES = "several rules"
    SUM = "sum"


class DecisionFault(Exception):
    """A table has no answer for a case; `problems` name the places in the input, or the rules."""

    def __init__(self, kind: DecisionFaultKind, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.kind = kind
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with one condition for each input, in the order of the inputs."""

    id: str
    conditions: tuple[Condition, ...]
    outputs: dict[str, JSON]
    because: str | None
    line: int | None


@dataclass(frozen=True, slots=True)
class Decided:
    """The decision of a case: the outputs by name, and the ids of the rules that fired."""

    outputs: dict[str, JSON] = field(repr=False)
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """A table without errors of form; `coe.decisions.analysis` finds whether it is complete."""

    document: DecisionDocument
    source: Source = field(repr=False)
    columns: tuple[Column, ...]
    rules: tuple[CompiledRule, ...]
    # Outputs with numbers that any rule writes as text, as money is: all of them are text.
    texts: frozenset[str]

    @property
    def ref(self) -> str:
        """namespace/name@version."""
        return self.document.decision.ref

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical form of the document, in hex."""
        return digest(self.source.data)

    @property
    def aggregate(self) -> str:
        """How the rules that fire are combined: "one", or the value of `collect`."""
        return self.document.collect or "list" if self.document.hit_policy == "collect" else "one"

    def decide(self, data: JSON) -> Decided:
        """Decide a case; the rules that fired are in the order of the table.

        Raises:
            DecisionFault: An input is missing or of another type, no rule fires and there is no
                default, several rules fire where the hit policy is unique, or a sum is not exact
                as a number.
        """
        case = self._case(data)
        fired = self._fired(case)
        if not fired:
            return self._without_rules()
        return Decided(_combined(self, fired), tuple(rule.id for rule in fired))

    def answer(self, decided: Decided) -> dict[str, JSON]:
        """The output of the function `decision`: the outputs, the table and the rules."""
        rules: list[JSON] = list(decided.rules)
        return {
            **decided.outputs,
            "decision": self.ref,
            "digest": self.digest,
            "rules": rules,
        }

    def _case(self, data: JSON) -> list[Key | None]:
        case: list[Key | None] = []
        problems: list[Problem] = []
        for column in self.columns:
            try:
                case.append(_key(column, data))
            except WrongInput as wrong:
                problems.append(wrong.problem)
        if problems:
            raise DecisionFault(DecisionFaultKind.INPUT, problems)
        return case

    def _fired(self, case: Sequence[Key | None]) -> list[CompiledRule]:
        policy = self.document.hit_policy
        fired: list[CompiledRule] = []
        for rule in self.rules:
            if all(map(holds, rule.conditions, case)):
                fired.append(rule)
                if policy == "first":
                    break
        if policy == "unique" and len(fired) > 1:
            names = " and ".join(f"`{rule.id}`" for rule in fired)
            problem = Problem("DEC021", f"the rules {names} fire at once", path="")
            raise DecisionFault(DecisionFaultKind.SEVERAL_RULES, [problem])
        return fired

    def _without_rules(self) -> Decided:
        default = self.document.default
        if default is not None:
            rule = CompiledRule(DEFAULT, (), dict(default), None, None)
            return Decided(_combined(self, [rule]), (DEFAULT,))
        if self.document.hit_policy == "collect":
            return Decided(_combined(self, []), ())
        problem = Problem("DEC020", "no rule fires for this case, and there is no default", path="")
        raise DecisionFault(DecisionFaultKind.NO_RULE, [problem])


# ---------------------------------------------------------------- input
class WrongInput(Exception):
    """An input of a case is missing, or the table does not accept it."""

    def __init__(self, code: str, column: Column, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, f"the input `{column.name}` {message}", path=column.path)


_MISSING: Final = object()


def _key(column: Column, data: JSON) -> Key | None:
    value = _found(column.path, data)
    if value is _MISSING or value is None:
        if column.optional:
            return None
        raise WrongInput("INPUT_MISSING", column, "is missing")
    try:
        key = key_of(column.kind, value)
    except WrongValue as error:
        raise WrongInput("INPUT_TYPE", column, str(error)) from None
    wrong = within(column, key)
    if wrong is not None:
        raise WrongInput("INPUT_VALUE", column, wrong)
    return key


def _found(path: str, data: Any) -> Any:
    for token in tokens(path):
        if isinstance(data, dict) and token in data:
            data = data[token]
        elif isinstance(data, list) and token.isdecimal() and int(token) < len(data):
            data = data[int(token)]
        else:
            return _MISSING
    return data


# ---------------------------------------------------------------- output
def _combined(table: DecisionTable, fired: Sequence[CompiledRule]) -> dict[str, JSON]:
    """Combine the outputs of the rules that fired, as the hit policy says."""
    names = [output.name for output in table.document.outputs]
    given = {name: [_output(table, name, rule) for rule in fired] for name in names}
    if table.aggregate == "one":
        return {name: values[0] for name, values in given.items()}
    if table.aggregate == "list":
        return {name: list(values) for name, values in given.items()}
    [(name, values)] = given.items()
    if table.aggregate == "count":
        return {name: 0 if [rule.id for rule in fired] == [DEFAULT] else len(values)}
    known = [value for value in values if value is not None]
    if not known:
        return {name: None}
    kind = table.document.outputs[0].type
    keys = [key_of(kind, value) for value in known]
    if table.aggregate == "sum":
        return {name: _sum(name, keys, as_text=name in table.texts)}
    chosen = (min if table.aggregate == "min" else max)(range(len(keys)), key=keys.__getitem__)
    return {name: known[chosen]}


def _output(table: DecisionTable, name: str, rule: CompiledRule) -> JSON:
    """An output of a rule, of one JSON type whichever rule it is."""
    value = rule.outputs.get(name)
    if name not in table.texts or value is None or isinstance(value, str):
        return value
    return json_text(key_of(ValueType.NUMBER, value))


def _sum(name: str, keys: Iterable[Key], *, as_text: bool) -> JSON:
    """The sum, as text or as a number: the same JSON type whichever rules fire."""
    total = reduce(EXACT.add, [Decimal(key) for key in keys])
    if as_text:
        return format(total, "f")
    number = int(total) if total == total.to_integral_value() else float(total)
    if (isinstance(number, int) and abs(number) >= SAFE) or Decimal(repr(number)) != total:
        message = f"the sum of `{name}` has more digits than a number keeps: write texts"
        problem = Problem("DEC022", message, path="", help=f'such as then: {{{name}: "12.50"}}')
        raise DecisionFault(DecisionFaultKind.SUM, [problem])
    return number


def example_of(column: Column, key: Key | None) -> JSON:
    """Write a value of a case as JSON, with as many decimals as the input has."""
    if key is None:
        return None
    if column.decimals and isinstance(key, Decimal) and decimals_of(key) <= column.decimals:
        return format(key.quantize(Decimal(1).scaleb(-column.decimals), context=EXACT), "f")
    return json_of(column.kind, key)
