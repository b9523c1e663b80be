"""Load a decision table from text, with located problems.

Problems of form have the codes of the loader of flows (OWS…); those of content are DEC…:

    DEC001 an input or output that is not declared      DEC010 a case for which there is no rule
    DEC002 a name or id that is used twice, or reserved DEC011 a case for which two rules fire
    DEC003 a condition that cannot be read              DEC012 a rule that can never fire
    DEC004 a value that is not one of its output        DEC013 too large to be checked
    DEC005 a declaration that contradicts itself
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError

from coe.decisions.analysis import analyse
from coe.decisions.conditions import Anything, Column, Condition, within
from coe.decisions.document import DEFAULT, RESERVED_OUTPUTS, DecisionDocument, Input, Output, Rule
from coe.decisions.parser import WrongCondition, read_condition
from coe.decisions.table import CompiledRule, DecisionTable
from coe.decisions.values import KINDS, Key, ValueType, WrongValue, key_of
from coe.errors import Problem, errors_in
from coe.json_types import JSON
from coe.language.load import MAX_PROBLEMS, problems_of
from coe.language.metadata import misspelt_keys
from coe.language.source import Source, Unreadable, point, read
from coe.language.suggestions import did_you_mean

_SUMMED: Final = frozenset({ValueType.INTEGER, ValueType.NUMBER})
_FLOAT_DIGITS: Final = 15


@dataclass(frozen=True, slots=True)
class LoadedDecision:
    """The table if it has no errors, and all problems."""

    table: DecisionTable | None
    problems: tuple[Problem, ...]
    source: Source | None = None


def load_decision(text: str, *, file: str | None = None) -> LoadedDecision:
    """Read and check a table from YAML 1.2 or JSON. Whatever the text is, this does not raise."""
    try:
        source = read(text, file=file)
    except Unreadable as error:
        return LoadedDecision(None, (error.problem,))
    return load_decision_source(source)


def load_decision_source(source: Source, *, whole: bool = True) -> LoadedDecision:
    """Check a table from a document that was read; without `whole`, it is not analysed."""
    if not isinstance(source.data, dict):
        problem = Problem("OWS005", "the document must be an object", path="", line=1, column=1)
        return LoadedDecision(None, (problem,), source)
    try:
        document = DecisionDocument.model_validate(source.data)
    except ValidationError as error:
        found = problems_of(error, source, DecisionDocument)
        return LoadedDecision(None, tuple(found), source)
    unstorable = tuple(source.unstorable())
    if unstorable:
        return LoadedDecision(None, unstorable, source)
    loader = _Loader(document, source)
    table = loader.table()
    problems = loader.problems
    if not problems and whole:
        problems = analyse(table)
    problems += misspelt_keys(source, document.decision.metadata, "/decision/metadata")
    ordered = sorted(problems[:MAX_PROBLEMS], key=lambda each: (each.line or 0, each.column or 0))
    kept = None if errors_in(problems) else table
    return LoadedDecision(kept, tuple(ordered), source)


class _Loader:
    """Reads what the models do not check: names, conditions and values."""

    def __init__(self, document: DecisionDocument, source: Source) -> None:
        self._document = document
        self._source = source
        self.problems: list[Problem] = []

    def table(self) -> DecisionTable:
        """The table; if there are problems, as far as it could be read."""
        document = self._document
        self._names("inputs", document.inputs)
        self._names("outputs", document.outputs)
        self._policy()
        columns = tuple(self._column(place, each) for place, each in enumerate(document.inputs))
        outputs = {
            each.name: self._domain(f"/outputs/{place}", each)
            for place, each in enumerate(document.outputs)
        }
        self._ids()
        rules = tuple(
            self._rule(f"/rules/{place}", rule, columns, outputs)
            for place, rule in enumerate(document.rules)
        )
        if document.default is not None:
            self._values("/default", document.default, outputs)
        return DecisionTable(document, self._source, columns, rules, self._texts())

    def _texts(self) -> frozenset[str]:
        """The outputs with numbers that any rule writes as text."""
        document = self._document
        given = [rule.then for rule in document.rules] + [document.default or {}]
        return frozenset(
            output.name
            for output in document.outputs
            if output.type in (ValueType.INTEGER, ValueType.NUMBER)
            and any(isinstance(each.get(output.name), str) for each in given)
        )

    def report(self, code: str, message: str, path: str, *, help: str | None = None) -> None:
        """Add a problem at a pointer."""
        at_value = code in {"DEC003", "DEC004"}
        self.problems.append(self._source.problem(code, message, path, value=at_value, help=help))

    # ------------------------------------------------------------ declarations
    def _names(self, part: str, declared: Iterable[Output]) -> None:
        seen: set[str] = set()
        for place, each in enumerate(declared):
            path = f"/{part}/{place}/name"
            if each.name in seen:
                self.report("DEC002", f"two {part} are called `{each.name}`", path)
            elif part == "outputs" and each.name in RESERVED_OUTPUTS:
                message = (
                    f"`{each.name}` is in the answer of every decision, and cannot be an output"
                )
                self.report("DEC002", message, path)
            seen.add(each.name)

    def _ids(self) -> None:
        counted = Counter(rule.id for rule in self._document.rules)
        seen: set[str] = set()
        for place, rule in enumerate(self._document.rules):
            path = f"/rules/{place}/id"
            if rule.id in seen and counted[rule.id] > 1:
                self.report("DEC002", f"two rules have the id `{rule.id}`", path)
            if rule.id == DEFAULT:
                message = f"`{DEFAULT}` is the id of the default: give the rule another id"
                self.report("DEC002", message, path)
            seen.add(rule.id)

    def _policy(self) -> None:
        document = self._document
        if document.hit_policy != "collect":
            if document.collect is not None:
                message = f"`collect` goes with the hit policy collect, not {document.hit_policy}"
                self.report("DEC005", message, "/collect")
            return
        if document.collect in {None, "list"}:
            return
        [first, *more] = document.outputs
        if more:
            self.report("DEC005", f"`{document.collect}` needs a table with one output", "/collect")
        elif document.collect == "sum" and first.type not in _SUMMED:
            self.report("DEC005", f"there is no sum of the type {first.type}", "/collect")
        elif document.collect in {"min", "max"} and not KINDS[first.type].ordered:
            message = f"the type {first.type} has no order, so no {document.collect}"
            self.report("DEC005", message, "/collect")

    def _column(self, place: int, declared: Input) -> Column:
        domain = self._domain(f"/inputs/{place}", declared)
        kind = KINDS[declared.type]
        step: Key | None = kind.step
        if declared.type is ValueType.NUMBER and declared.decimals is not None:
            step = Decimal(1).scaleb(-declared.decimals)
        return Column(
            name=declared.name,
            kind=declared.type,
            path=declared.from_ or point(declared.name),
            members=domain.members,
            low=kind.low if domain.low is None else domain.low,
            high=kind.high if domain.high is None else domain.high,
            step=step,
            decimals=domain.decimals,
            optional=declared.optional,
        )

    def _domain(self, path: str, declared: Output) -> Column:
        """The values that a declaration permits."""
        kind = declared.type
        members = [
            key
            for place, value in enumerate(declared.enum or ())
            if (key := self._bound(kind, value, f"{path}/enum/{place}")) is not None
        ]
        low = self._bound(kind, declared.minimum, f"{path}/minimum")
        high = self._bound(kind, declared.maximum, f"{path}/maximum")
        if declared.enum is not None:
            if kind is ValueType.BOOLEAN:
                self.report("DEC005", "true and false need no `enum`", f"{path}/enum")
            if low is not None or high is not None:
                self.report("DEC005", "`enum` names the values: it needs no bounds", f"{path}/enum")
            if len(set(members)) < len(members):
                self.report("DEC002", "a value of `enum` is there twice", f"{path}/enum")
        if (low is not None or high is not None) and not KINDS[kind].ordered:
            name = "minimum" if low is not None else "maximum"
            self.report("DEC005", f"the type {kind} has no order, so no bounds", f"{path}/{name}")
        elif low is not None and high is not None and low > high:  # type: ignore[operator]  # keys of one type
            self.report("DEC005", "the minimum is more than the maximum", f"{path}/minimum")
        if declared.decimals is not None and kind is not ValueType.NUMBER:
            self.report("DEC005", "`decimals` goes with the type number", f"{path}/decimals")
        decimals = declared.decimals if kind is ValueType.NUMBER else None
        allowed = frozenset(members) if declared.enum is not None else None
        return Column(declared.name, kind, path, allowed, low, high, decimals=decimals,
                      optional=declared.optional)  # fmt: skip

    def _bound(self, kind: ValueType, value: JSON, path: str) -> Key | None:
        if value is None:
            return None
        try:
            return key_of(kind, value)
        except WrongValue as error:
            self.report("DEC004", str(error), path)
            return None

    # ------------------------------------------------------------ rules
    def _rule(
        self,
        path: str,
        rule: Rule,
        columns: tuple[Column, ...],
        outputs: Mapping[str, Column],
    ) -> CompiledRule:
        names = [column.name for column in columns]
        for name in rule.when.keys() - set(names):
            message = f"there is no input `{name}`{did_you_mean(name, names)}"
            self.report("DEC001", message, path + point("when", name))
        conditions = tuple(self._condition(path, rule, column) for column in columns)
        self._values(f"{path}/then", rule.then, outputs)
        line = self._source.line(path)
        return CompiledRule(rule.id, conditions, dict(rule.then), rule.because, line)

    def _condition(self, path: str, rule: Rule, column: Column) -> Condition:
        if column.name not in rule.when:
            return Anything()
        try:
            return read_condition(column, rule.when[column.name])
        except WrongCondition as wrong:
            place = path + point("when", column.name)
            self.report(
                "DEC003", f"the condition on `{column.name}`: {wrong}", place, help=wrong.help
            )
            return Anything()

    def _values(self, path: str, given: Mapping[str, JSON], outputs: Mapping[str, Column]) -> None:
        for name in given.keys() - outputs.keys():
            message = f"there is no output `{name}`{did_you_mean(name, list(outputs))}"
            self.report("DEC001", message, path + point(name))
        for name, domain in outputs.items():
            value = given.get(name)
            if value is not None:
                for wrong in _wrong_value(domain, value):
                    self.report("DEC004", f"the output `{name}` {wrong}", path + point(name))
            elif not domain.optional:
                self.report("DEC004", f"the output `{name}` is missing", path)


def _wrong_value(domain: Column, value: Any) -> Iterator[str]:
    try:
        key = key_of(domain.kind, value)
    except WrongValue as error:
        yield str(error)
        return
    wrong = within(domain, key)
    if wrong is not None:
        yield wrong
    if isinstance(value, float) and sum(map(str.isdigit, repr(value))) > _FLOAT_DIGITS:
        yield "has more digits than a number keeps exactly: quote it"
