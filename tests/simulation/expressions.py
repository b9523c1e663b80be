"""SQL expressions as Python functions: what SQLAlchemy builds, compiled once, on rows in memory.

Null is None, and truth has three values, as in SQL. A construct that is not known is refused by
name (`Unsupported`), never guessed at.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import Alias, Column, Enum, Table
from sqlalchemy.sql import elements, functions, operators, selectable
from sqlalchemy.sql.dml import Delete, Insert, Update

if TYPE_CHECKING:
    from tests.simulation.storage import Data, Store, Transaction


class Unsupported(Exception):
    """The simulated database does not know this statement, or a part of it: teach it."""


@dataclass(slots=True)
class Env:
    """What an expression is evaluated in."""

    store: Store
    transaction: Transaction
    snapshot: int
    params: list[Any]
    clock: Callable[[], datetime]
    group: list[list[Data | None]] = field(default_factory=list)
    rows: list[Data | None] = field(default_factory=lambda: [None] * MAX_PLACES)


Function = Callable[[Env], Any]

EXCLUDED: Final = "excluded"
"""The row that ON CONFLICT kept out, as a FROM element."""
MAX_PLACES: Final = 16
AGGREGATES: Final = frozenset({"count", "min", "max", "sum"})


@dataclass(slots=True)
class Scope:
    """Where the rows of each FROM element stand in `Env.rows`; where bound values stand."""

    places: dict[Any, int]
    binds: Mapping[str, int]
    subquery: Callable[[Any, Scope], Callable[[Env], list[tuple[Any, ...]]]]

    def inner(self) -> Scope:
        """The scope of a subquery, which sees everything of this one."""
        return Scope(dict(self.places), self.binds, self.subquery)

    def add(self, source: Any) -> int:
        """Give a FROM element its place."""
        return self.places.setdefault(source, len(self.places))


def table_of(source: Any) -> Table:
    """The table of a FROM element."""
    if isinstance(source, Table):
        return source
    if isinstance(source, Alias) and isinstance(source.element, Table):
        return source.element
    raise Unsupported(f"FROM {type(source).__name__}")


def places_in(clause: Any) -> set[Any]:
    """The FROM elements whose columns an expression names itself, outside of subqueries."""
    found: set[Any] = set()
    todo = [clause]
    while todo:
        each = todo.pop()
        if isinstance(each, Column):
            found.add(each.table)
        elif isinstance(each, elements.ColumnElement | elements.ClauseList | elements.Grouping):
            todo.extend(each.get_children())
        elif isinstance(each, selectable.Select):
            todo.extend(column for column in _columns_of(each) if isinstance(column, Column))
    return found


def named_tables(clause: Any) -> list[Any]:
    """The FROM elements that an expression names outside of subqueries, in order."""
    found: dict[Any, None] = {}
    todo = [clause]
    while todo:
        each = todo.pop(0)
        if isinstance(each, Column):
            found[each.table] = None
        elif isinstance(each, selectable.SelectBase | selectable.Exists | selectable.ScalarSelect):
            continue
        elif isinstance(each, elements.ClauseElement):
            todo.extend(each.get_children())
    return list(found)


def _columns_of(select: Any) -> list[Any]:
    """All columns named anywhere in a select, its subqueries too."""
    found: list[Any] = []
    todo = [select]
    while todo:
        each = todo.pop()
        if isinstance(each, Column):
            found.append(each)
        elif not isinstance(each, Table | Alias):
            todo.extend(each.get_children())
    return found


def _strict(function: Callable[[Any, Any], Any]) -> Callable[[Function, Function], Function]:
    def make(left: Function, right: Function) -> Function:
        def evaluate(env: Env) -> Any:
            a, b = left(env), right(env)
            return None if a is None or b is None else function(a, b)

        return evaluate

    return make


def _in(value: Any, choices: Any) -> Any:
    if value is None:
        return None
    return True if value in choices else (None if None in choices else False)


def _not_in(value: Any, choices: Any) -> Any:
    found = _in(value, choices)
    return None if found is None else not found


def _overlap(left: Any, right: Any) -> bool:
    return not set(left).isdisjoint(right)


def _minus(left: Any, right: Any) -> Any:
    return left - right


_BINARY: Final[dict[Any, Callable[[Any, Any], Any]]] = {
    operators.eq: operator.eq,
    operators.ne: operator.ne,
    operators.lt: operator.lt,
    operators.le: operator.le,
    operators.gt: operator.gt,
    operators.ge: operator.ge,
    operators.add: operator.add,
    operators.sub: operator.sub,
    operators.mul: operator.mul,
    operators.concat_op: operator.add,
}


def compile_expression(clause: Any, scope: Scope) -> Function:
    """The function that gives the value of an expression.

    Raises:
        Unsupported: With the name of what is not known.
    """
    for kind, make in _KINDS:
        if isinstance(clause, kind):
            return make(clause, scope)
    raise Unsupported(f"{type(clause).__name__}: {clause}")


def _column(column: Any, scope: Scope) -> Function:
    if column.name == "*":
        return lambda _: 1
    place, name = scope.places.get(column.table), column.name
    if place is None and getattr(column.table, "name", None) == EXCLUDED:
        place = scope.places.get(EXCLUDED)
    if place is None:
        raise Unsupported(f"column {column} from nowhere")

    def read(env: Env) -> Any:
        row = env.rows[place]
        return None if row is None else row[name]

    return read


def _bind(bind: Any, scope: Scope) -> Function:
    place = scope.binds.get(bind.key)
    if place is None:
        raise Unsupported(f"bound value {bind.key}")
    return lambda env: env.params[place]


def _clause_list(clause: Any, scope: Scope) -> Function:
    parts = [compile_expression(each, scope) for each in clause.clauses]
    if clause.operator is operators.and_:
        return conjunction(parts)
    if clause.operator is operators.or_:
        return _disjunction(parts)
    if clause.operator is operators.comma_op:
        return lambda env: tuple(part(env) for part in parts)
    if clause.operator in _BINARY:
        step = _strict(_BINARY[clause.operator])
        whole = parts[0]
        for part in parts[1:]:
            whole = step(whole, part)
        return whole
    raise Unsupported(f"operator {clause.operator.__name__}")


def conjunction(parts: list[Function]) -> Function:
    """AND in three values."""
    if len(parts) == 1:
        return parts[0]

    def every(env: Env) -> Any:
        known = True
        for part in parts:
            value = part(env)
            if value is False:
                return False
            if value is None:
                known = False
        return True if known else None

    return every


def _disjunction(parts: list[Function]) -> Function:
    def some(env: Env) -> Any:
        known = True
        for part in parts:
            value = part(env)
            if value is True:
                return True
            if value is None:
                known = False
        return False if known else None

    return some


def _binary(clause: Any, scope: Scope) -> Function:
    left, right = clause.left, clause.right
    kind = clause.operator
    if kind in {operators.is_, operators.is_not}:
        return _is(compile_expression(left, scope), right, kind is operators.is_, scope)
    first = compile_expression(left, scope)
    if kind in {operators.in_op, operators.not_in_op}:
        choices = _choices(right, scope)
        check = _in if kind is operators.in_op else _not_in
        return lambda env: check(first(env), choices(env))
    if kind is operators.between_op:
        low, high = (compile_expression(each, scope) for each in right.clauses)
        at_least, at_most = _strict(operator.ge), _strict(operator.le)
        return conjunction([at_least(first, low), at_most(first, high)])
    if isinstance(right, elements.CollectionAggregate) and kind is operators.eq:
        array = compile_expression(right.element, scope)
        return lambda env: None if (found := array(env)) is None else _in(first(env), found)
    second = compile_expression(right, scope)
    if kind in _BINARY:
        return _strict(_BINARY[kind])(first, second)
    if getattr(kind, "opstring", None) == "&&":
        return _strict(_overlap)(first, second)
    raise Unsupported(f"operator {getattr(kind, 'opstring', kind)}")


def _is(first: Function, right: Any, positive: bool, scope: Scope) -> Function:  # noqa: FBT001
    second = compile_expression(right, scope)
    if positive:
        return lambda env: first(env) is second(env)
    return lambda env: first(env) is not second(env)


def _choices(clause: Any, scope: Scope) -> Function:
    while isinstance(clause, elements.Grouping):
        clause = clause.element
    if isinstance(clause, selectable.ScalarSelect | selectable.Select):
        query = scope.subquery(getattr(clause, "element", clause), scope)
        return lambda env: {row[0] for row in query(env)}
    return compile_expression(clause, scope)


def _unary(clause: Any, scope: Scope) -> Function:
    inner = clause.element
    if isinstance(clause, selectable.Exists) or clause.operator is operators.exists:
        while not isinstance(inner, selectable.Select):
            inner = inner.element
        query = scope.subquery(inner, scope)
        return lambda env: bool(query(env))
    value = compile_expression(inner, scope)
    if clause.operator is operators.inv:
        return lambda env: None if (found := value(env)) is None else not found
    if clause.operator is operators.neg:
        return lambda env: None if (found := value(env)) is None else -found
    if clause.modifier in {operators.asc_op, operators.desc_op}:
        return value
    raise Unsupported(f"operator {clause.operator or clause.modifier}")


def _as_boolean(clause: Any, scope: Scope) -> Function:
    value = compile_expression(clause.element, scope)
    if clause.operator is operators.is_false:
        return lambda env: None if (found := value(env)) is None else not found
    return value


def _scalar_select(clause: Any, scope: Scope) -> Function:
    query = scope.subquery(clause.element, scope)

    def first(env: Env) -> Any:
        rows = query(env)
        return rows[0][0] if rows else None

    return first


def _case(clause: Any, scope: Scope) -> Function:
    if clause.value is not None:
        raise Unsupported("CASE with a value")
    whens = [
        (compile_expression(condition, scope), compile_expression(result, scope))
        for condition, result in clause.whens
    ]
    otherwise = compile_expression(clause.else_, scope) if clause.else_ is not None else _nothing

    def choose(env: Env) -> Any:
        for condition, result in whens:
            if condition(env) is True:
                return result(env)
        return otherwise(env)

    return choose


def _nothing(_: Env) -> None:
    return None


def _extract(clause: Any, scope: Scope) -> Function:
    value = compile_expression(clause.expr, scope)
    if clause.field != "epoch":
        raise Unsupported(f"extract({clause.field})")

    def epoch(env: Env) -> Any:
        found = value(env)
        if found is None:
            return None
        return found.total_seconds() if isinstance(found, timedelta) else found.timestamp()

    return epoch


def _as_json(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def _function(clause: Any, scope: Scope) -> Function:  # noqa: C901, PLR0911  # one a name
    name = clause.name.lower()
    if name in AGGREGATES:
        return _aggregated(clause, scope)
    arguments = [compile_expression(each, scope) for each in clause.clauses]
    if name in {"now", "transaction_timestamp"}:
        return lambda env: env.transaction.started
    if name == "clock_timestamp":
        return lambda env: env.clock()
    if name == "coalesce":
        return lambda env: next(
            (value for each in arguments if (value := each(env)) is not None), None
        )
    if name == "make_interval":
        seconds = arguments[-1]
        return lambda env: None if (n := seconds(env)) is None else timedelta(seconds=float(n))
    if name in {"greatest", "least"}:
        pick = max if name == "greatest" else min
        return lambda env: pick(
            (value for each in arguments if (value := each(env)) is not None), default=None
        )
    if name == "encode":  # in hexadecimal, as everywhere here
        return lambda env: None if (found := arguments[0](env)) is None else found.hex()
    if name == "jsonb_build_object":
        return lambda env: {
            each(env): _as_json(value(env))
            for each, value in zip(arguments[::2], arguments[1::2], strict=True)
        }
    if name == "cardinality":
        return lambda env: len(arguments[0](env))
    if name in {"hashtextextended", "pg_advisory_xact_lock"}:  # no two runs ask for one id here
        return lambda _: None
    if name == "pg_try_advisory_xact_lock":  # it only spares work: two at once are right too
        return lambda _: True
    raise Unsupported(f"function {clause.name}")


def _aggregated(call: Any, scope: Scope) -> Function:
    name = call.name.lower()
    arguments = [each for each in call.clauses if str(each) != "*"]
    value = compile_expression(arguments[0], scope) if arguments else None

    def collect(env: Env) -> Any:
        if value is None:
            return len(env.group)
        values = []
        for data in env.group:
            env.rows[:] = data
            one = value(env)
            if one is not None:
                values.append(one)
        match name:
            case "count":
                return len(values)
            case "min":
                return min(values, default=None)
            case "max":
                return max(values, default=None)
            case _:
                return sum(values) if values else None

    return collect


def is_aggregate(clause: Any) -> bool:
    """Whether an expression is over all rows."""
    todo = [clause]
    while todo:
        each = todo.pop()
        if isinstance(each, functions.FunctionElement) and each.name.lower() in AGGREGATES:
            return True
        if isinstance(each, elements.ColumnElement) and not isinstance(
            each, selectable.ScalarSelect | selectable.Exists | Column
        ):
            todo.extend(each.get_children())
    return False


def _cast(clause: Any, scope: Scope) -> Function:
    return compile_expression(clause.clause, scope)


def _wrapped(clause: Any, scope: Scope) -> Function:
    return compile_expression(clause.element, scope)


def _tuple(clause: Any, scope: Scope) -> Function:
    parts = [compile_expression(each, scope) for each in clause.clauses]
    return lambda env: tuple(part(env) for part in parts)


_TEXTS: Final[dict[str, Function]] = {
    "pg_current_xact_id()": lambda env: id(env.transaction) & 0xFFFF,
    "now()": lambda env: env.transaction.started,
    "true": lambda _: True,
    "false": lambda _: False,
}


def _text(clause: Any, _: Scope) -> Function:
    found = _TEXTS.get(clause.text.strip().lower())
    if found is None:
        raise Unsupported(f"the text {clause.text!r}")
    return found


_KINDS: Final[tuple[tuple[Any, Callable[[Any, Scope], Function]], ...]] = (
    (elements.BindParameter, _bind),
    (elements.Label, _wrapped),
    (functions.FunctionElement, _function),
    (elements.Null, lambda *_: _nothing),
    (elements.True_, lambda *_: lambda env: True),  # noqa: ARG005  # the shape of a function
    (elements.False_, lambda *_: lambda env: False),  # noqa: ARG005  # the same
    (Column, _column),
    (elements.BooleanClauseList, _clause_list),
    (elements.ExpressionClauseList, _clause_list),
    (elements.Tuple, _tuple),
    (elements.ClauseList, _clause_list),
    (elements.BinaryExpression, _binary),
    (elements.AsBoolean, _as_boolean),
    (selectable.ScalarSelect, _scalar_select),
    (elements.UnaryExpression, _unary),
    (elements.Grouping, _wrapped),
    (elements.Case, _case),
    (elements.Extract, _extract),
    (elements.Cast, _cast),
    (elements.TypeCoerce, _cast),
    (elements.ColumnClause, _column),
    (elements.TextClause, _text),
)

Statement = selectable.Select[Any] | Insert | Update | Delete


def to_column(column: Column[Any]) -> Callable[[Any], Any]:
    """What a column makes of a value that is written to it."""
    if isinstance(column.type, Enum) and column.type.enum_class is not None:
        return column.type.enum_class
    return _same


def _same(value: Any) -> Any:
    return value
