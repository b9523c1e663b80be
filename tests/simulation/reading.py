"""SELECT as a plan over rows in memory: where rows come from, which of them, in which order.

A plan is made once a statement (by SQLAlchemy's own cache key) and carried out with the bound
values of each call. Reading happens in one moment; writing locks row by row, and may wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.sql import elements, operators, selectable

from tests.simulation.expressions import (
    Env,
    Function,
    Scope,
    Unsupported,
    compile_expression,
    conjunction,
    is_aggregate,
    places_in,
    table_of,
)
from tests.simulation.storage import (
    KEY_SHARE,
    NO_KEY_UPDATE,
    SHARE,
    UPDATE,
    Data,
    Row,
)


@dataclass(slots=True)
class Answer:
    """Rows of a statement, with the names of their columns."""

    names: Sequence[str]
    rows: list[tuple[Any, ...]]
    count: int = 0


# ---------------------------------------------------------------------- where rows come from


class Source:
    """One FROM element: how its rows are found, given those of the elements before it."""

    def __init__(self, table: Table, place: int, conditions: list[Any], scope: Scope) -> None:
        self.table, self.place = table, place
        self.lookup = self._lookup(conditions, scope)
        parts = [compile_expression(each, scope) for each in conditions]
        self.matches = conjunction(parts) if parts else None

    def _lookup(
        self, conditions: list[Any], scope: Scope
    ) -> tuple[tuple[str, ...], list[Function], bool] | None:
        """An index that the conditions can use: its column, the values, whether many of them."""
        names = {column.name for column in self.table.columns}
        for clause in conditions:
            if not isinstance(clause, elements.BinaryExpression):
                continue
            many = clause.operator is operators.in_op
            if clause.operator is not operators.eq and not many:
                continue
            for own, other in ((clause.left, clause.right), (clause.right, clause.left)):
                if not isinstance(own, Column) or scope.places.get(own.table) != self.place:
                    continue
                if own.name not in names or own.table in places_in(other):
                    continue
                if many and not isinstance(other, elements.BindParameter):
                    continue
                if any(scope.places.get(each, 99) > self.place for each in places_in(other)):
                    continue
                from tests.simulation.storage import INDEXED  # noqa: PLC0415  # one name

                if own.name in INDEXED:
                    return (own.name,), [compile_expression(other, scope)], many
        return None

    def rows(self, env: Env) -> list[Row]:
        """The rows that may match."""
        relation = env.store.relations[self.table.name]
        if self.lookup is None:
            return list(relation.rows)
        (name,), (value,), many = self.lookup
        found = value(env)
        if many:
            return [row for each in dict.fromkeys(found) for row in relation.candidates(name, each)]
        return [] if found is None else list(relation.candidates(name, found))

    def found(self, env: Env) -> list[tuple[Row, Data]]:
        """The rows that match as the statement sees them, with `env` set to the earlier sources."""
        result = []
        place, matches, snapshot = self.place, self.matches, env.snapshot
        transaction, rows = env.transaction, env.rows
        for row in self.rows(env):
            data = row.seen(transaction, snapshot)
            if data is None:
                continue
            rows[place] = data
            if matches is None or matches(env) is True:
                result.append((row, data))
        return result


def _flatten(source: Any, conditions: list[Any]) -> list[Any]:
    """The tables of a FROM clause in their order; the conditions of its joins are added."""
    if isinstance(source, selectable.Join):
        if source.isouter or source.full:
            raise Unsupported("an outer join")
        found = _flatten(source.left, conditions) + _flatten(source.right, conditions)
        conditions.append(source.onclause)
        return found
    table_of(source)
    return [source]


def _split(clauses: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for clause in clauses:
        if isinstance(clause, elements.BooleanClauseList) and clause.operator is operators.and_:
            found.extend(_split(clause.clauses))
        elif isinstance(clause, elements.Grouping) and isinstance(
            clause.element, elements.BooleanClauseList
        ):
            inner = clause.element
            found.extend(_split([inner]) if inner.operator is operators.and_ else [clause])
        else:
            found.append(clause)
    return found


def sources_of(froms: Sequence[Any], clauses: Sequence[Any], scope: Scope) -> list[Source]:
    """Each element with the conditions that can be looked at once it is there."""
    for each in froms:
        scope.add(each)
    waiting = _split(clauses)
    sources = []
    for number, each in enumerate(froms):
        later = set(froms[number + 1 :])
        now = [clause for clause in waiting if not places_in(clause) & later]
        waiting = [clause for clause in waiting if places_in(clause) & later]
        sources.append(Source(table_of(each), scope.places[each], now, scope))
    return sources


# ---------------------------------------------------------------------- SELECT


class SelectPlan:
    """A SELECT: inner joins, conditions, aggregates over all of it, order, limit, row locks."""

    def __init__(self, statement: Any, scope: Scope) -> None:
        self.statement = statement
        if statement._group_by_clauses or statement._having_criteria:
            raise Unsupported("GROUP BY")
        conditions: list[Any] = list(statement._where_criteria)
        outer = set(scope.places)
        froms: list[Any] = []
        for each in _froms(statement):
            froms += [one for one in _flatten(each, conditions) if one not in froms]
        froms = [each for each in froms if each not in outer]
        self.sources = sources_of(froms, conditions, scope)
        columns = list(statement._all_selected_columns)
        self.names = [name_of(column, number) for number, column in enumerate(columns)]
        self.aggregate = any(is_aggregate(each) for each in columns)
        self.columns = [compile_expression(each, scope) for each in columns]
        self.order = [_ordering(each, scope) for each in statement._order_by_clauses]
        self.limit = maybe(statement._limit_clause, scope)
        self.offset = maybe(statement._offset_clause, scope)
        self.distinct = bool(statement._distinct)
        self.mode, self.skip, self.of = _locking(statement._for_update_arg)

    def matching(self, env: Env) -> list[tuple[list[Row], list[Data | None]]]:
        """Every combination of rows that matches, in order."""
        found: list[tuple[list[Row], list[Data | None]]] = []
        self._extend(env, 0, [], found)
        for evaluate, descending in reversed(self.order):
            found.sort(key=lambda each: _sort_key(env, each[1], evaluate), reverse=descending)
        return found

    def _extend(self, env: Env, depth: int, rows: list[Row], found: list[Any]) -> None:
        if depth == len(self.sources):
            found.append((list(rows), list(env.rows)))
            return
        source = self.sources[depth]
        for row, data in source.found(env):
            env.rows[source.place] = data
            rows.append(row)
            self._extend(env, depth + 1, rows, found)
            rows.pop()

    def read(self, env: Env) -> list[tuple[Any, ...]]:
        """The rows, without locking any."""
        before = list(env.rows)
        found = self.matching(env)
        env.rows[:] = before
        return self._shaped(env, [data for _, data in found])

    def _shaped(self, env: Env, found: list[list[Data | None]]) -> list[tuple[Any, ...]]:
        before = list(env.rows)
        if self.aggregate:
            env.group = found
            result = [tuple(column(env) for column in self.columns)]
        else:
            result = []
            for data in found:
                env.rows[:] = data
                result.append(tuple(column(env) for column in self.columns))
        env.rows[:] = before
        if self.distinct:
            result = list(dict.fromkeys(result))
        if self.offset is not None:
            result = result[self.offset(env) :]
        if self.limit is not None and not self.aggregate:
            result = result[: self.limit(env)]
        return result

    async def run(self, env: Env) -> Answer:
        """The answer; rows are locked first where the statement says so."""
        if self.mode is None:
            rows = self.read(env)
            return Answer(self.names, rows, len(rows))
        kept: list[list[Data | None]] = []
        limit = self.limit(env) if self.limit is not None else None
        for rows, data in self.matching(env):
            if limit is not None and len(kept) >= limit:
                break
            env.rows[:] = data
            if await self._lock(env, rows):
                kept.append(list(env.rows))
        result = self._shaped(env, kept)
        return Answer(self.names, result, len(result))

    async def _lock(self, env: Env, rows: list[Row]) -> bool:
        """Lock a combination; look again at what has changed meanwhile."""
        changed = False
        for source, row in zip(self.sources, rows, strict=True):
            if self.of and source.table.name not in self.of:
                continue
            if not await env.transaction.lock(row, self.mode or 0, skip=self.skip):
                return False
            current = row.newest(env.transaction)
            if current is None:
                return False
            changed = changed or current is not env.rows[source.place]
            env.rows[source.place] = current
        return not changed or all(
            source.matches is None or source.matches(env) is True for source in self.sources
        )


def _froms(statement: Any) -> list[Any]:
    if statement._setup_joins:
        return list(statement.get_final_froms())
    explicit = list(statement._from_obj)
    return explicit or list(statement.get_final_froms())


def name_of(column: Any, number: int) -> str:
    name = getattr(column, "name", None)
    return str(name) if name and isinstance(name, str) else f"column_{number}"


def maybe(clause: Any, scope: Scope) -> Function | None:
    return None if clause is None else compile_expression(clause, scope)


def _ordering(clause: Any, scope: Scope) -> tuple[Function, bool]:
    descending = False
    while isinstance(clause, elements.UnaryExpression):
        descending = descending or clause.modifier is operators.desc_op
        clause = clause.element
    return compile_expression(clause, scope), descending


def _sort_key(env: Env, data: list[Data | None], evaluate: Function) -> Any:
    env.rows[:] = data
    value = evaluate(env)
    return (value is None, value if value is not None else 0)


def _locking(arg: Any) -> tuple[int | None, bool, set[str]]:
    if arg is None:
        return None, False, set()
    if arg.nowait:
        raise Unsupported("NOWAIT")
    mode = (
        (KEY_SHARE if arg.key_share else SHARE)
        if arg.read
        else (NO_KEY_UPDATE if arg.key_share else UPDATE)
    )
    return mode, bool(arg.skip_locked), {table_of(each).name for each in arg.of or ()}
