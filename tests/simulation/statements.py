"""SQL statements as plans over rows in memory: SELECT, INSERT, UPDATE, DELETE.

A plan is made once a statement (by SQLAlchemy's own cache key) and carried out with the bound values
of each call. Reading happens in one moment; writing locks row by row, and may wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Table
from sqlalchemy.sql import elements, operators, selectable
from sqlalchemy.sql.dml import Delete, Insert, Update

from tests.simulation.expressions import (
    EXCLUDED,
    Env,
    Function,
    Scope,
    Unsupported,
    compile_expression,
    conjunction,
    is_aggregate,
    named_tables,
    places_in,
    table_of,
    to_column,
)
from tests.simulation.storage import (
    KEY_SHARE,
    NO_KEY_UPDATE,
    SHARE,
    UPDATE,
    Data,
    Relation,
    Row,
    Store,
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


def _sources(froms: Sequence[Any], clauses: Sequence[Any], scope: Scope) -> list[Source]:
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
        self.sources = _sources(froms, conditions, scope)
        columns = list(statement._all_selected_columns)
        self.names = [_name(column, number) for number, column in enumerate(columns)]
        self.aggregate = any(is_aggregate(each) for each in columns)
        self.columns = [compile_expression(each, scope) for each in columns]
        self.order = [_ordering(each, scope) for each in statement._order_by_clauses]
        self.limit = _maybe(statement._limit_clause, scope)
        self.offset = _maybe(statement._offset_clause, scope)
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


def _name(column: Any, number: int) -> str:
    name = getattr(column, "name", None)
    return str(name) if name and isinstance(name, str) else f"column_{number}"


def _maybe(clause: Any, scope: Scope) -> Function | None:
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


# ---------------------------------------------------------------------- INSERT, UPDATE, DELETE


def _row_maker(table: Table) -> Callable[[Env, Mapping[str, Any]], Data]:
    """Makes a whole row of the values given: defaults, identity, the column's own types."""
    columns = [(column, to_column(column)) for column in table.columns]

    def make(env: Env, given: Mapping[str, Any]) -> Data:
        relation = env.store.relations[table.name]
        row: Data = {}
        for column, convert in columns:
            name = column.name
            value = given[name] if name in given else _default(column, relation, env)
            row[name] = value if value is None else convert(value)
        return row

    return make


def _default(column: Any, relation: Relation, env: Env) -> Any:
    if column.identity is not None:
        relation.counter += 1
        return relation.counter
    if column.default is not None:
        argument = column.default.arg
        return argument(None) if callable(argument) else argument
    if column.server_default is not None:
        return compile_expression(column.server_default.arg, _NO_SCOPE)(env)
    return None


_NO_SCOPE: Final = Scope({}, {}, lambda *_: lambda _: [])


class InsertPlan:
    """INSERT of one or many rows, ON CONFLICT included, RETURNING."""

    def __init__(self, statement: Any, scope: Scope) -> None:
        table = self.table = statement.table
        self.select: SelectPlan | None = None
        if statement.select is not None:
            self.select = SelectPlan(statement.select, scope.inner())
            self.select_names = [
                each if isinstance(each, str) else each.name for each in statement._select_names
            ]
        self.relation = table.name
        self.make = _row_maker(table)
        self.values = _assignments(statement._values, scope)
        self.many = [
            _assignments(row, scope) for rows in statement._multi_values or () for row in rows
        ]
        scope.add(table)
        place = scope.add(EXCLUDED)
        self.place, self.excluded = scope.places[table], place
        clause = statement._post_values_clause
        self.conflict: str | None = None
        if clause is not None:
            self._read_conflict(clause, scope)
        self.names, self.returning = _returning(statement, scope)

    def _read_conflict(self, clause: Any, scope: Scope) -> None:
        target = clause.inferred_target_elements
        if clause.constraint_target is not None or clause.inferred_target_whereclause is not None:
            raise Unsupported("ON CONFLICT with a constraint's name or a condition")
        names = [each if isinstance(each, str) else each.name for each in target or ()]
        self.target = self._unique(names) if names else None
        self.conflict = "nothing"
        sets = getattr(clause, "update_values_to_set", None)
        if sets is not None:
            self.conflict = "update"
            self.sets = _assignments(dict(sets), scope)
            self.where = _maybe(clause.update_whereclause, scope)

    def _unique(self, names: list[str]) -> tuple[str, ...]:
        for index in Relation(self.table).indexes:
            if index.unique and set(index.columns) == set(names):
                return index.columns
        raise Unsupported(f"ON CONFLICT ({', '.join(names)}) of {self.relation}")

    async def run(self, env: Env, many: Sequence[Mapping[str, Any]] | None = None) -> Answer:
        """Insert the row of the statement, or one for each of `many`."""
        rows: list[tuple[Any, ...]] = []
        count = 0
        for given in self._given(env, many):
            written = await self._put(env, self.make(env, given))
            if written is not None:
                count += 1
                env.rows[self.place] = written
                rows.append(tuple(each(env) for each in self.returning))
        return Answer(self.names, rows if self.returning else [], count)

    def _given(self, env: Env, many: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
        if self.select is not None:
            rows = self.select.read(env)
            return [dict(zip(self.select_names, row, strict=True)) for row in rows]
        if self.many:
            return [{name: value(env) for name, value in row} for row in self.many]
        own = {name: value(env) for name, value in self.values}
        return [own] if many is None else [own | dict(each) for each in many]

    async def _put(self, env: Env, data: Data) -> Data | None:
        relation, transaction = env.store.relations[self.relation], env.transaction
        while self.conflict is not None:
            columns = self.target
            row = await transaction.clash(relation, data, columns=columns)
            if row is None:
                break
            if self.conflict == "nothing":
                return None
            if not await transaction.lock(row, NO_KEY_UPDATE):
                continue
            current = row.newest(transaction)
            if current is None:
                continue
            env.rows[self.place], env.rows[self.excluded] = current, data
            if self.where is not None and self.where(env) is not True:
                return None
            changed = current | {name: value(env) for name, value in self.sets}
            transaction.write(relation, row, changed)
            return changed
        await transaction.insert(relation, data)
        return data


def _assignments(values: Any, scope: Scope) -> list[tuple[str, Function]]:
    found = []
    for key, value in (values or {}).items():
        name = key if isinstance(key, str) else key.name
        if isinstance(value, elements.ClauseElement):
            found.append((name, compile_expression(value, scope)))
        else:
            found.append((name, _constant(value)))
    return found


def _constant(value: Any) -> Function:
    return lambda _: value


def _returning(statement: Any, scope: Scope) -> tuple[list[str], list[Function]]:
    columns: list[Any] = []
    for each in statement._returning:
        columns += list(each.columns) if isinstance(each, Table) else [each]
    names = [_name(column, number) for number, column in enumerate(columns)]
    return names, [compile_expression(column, scope) for column in columns]


class WritePlan:
    """UPDATE and DELETE: what matches is locked row by row, looked at again, and changed."""

    def __init__(self, statement: Any, scope: Scope) -> None:
        table = statement.table
        scope.add(table)
        self.place = scope.places[table]
        self.relation = table.name
        named = [*statement._where_criteria, *(getattr(statement, "_values", None) or {}).values()]
        others = dict.fromkeys(each for clause in named for each in named_tables(clause))
        others.pop(table, None)
        clauses = list(statement._where_criteria)
        self.source, *self.others = _sources([table, *others], clauses, scope)
        self.sets: list[tuple[str, Function, Callable[[Any], Any]]] | None = None
        if isinstance(statement, Update):
            converts = {column.name: to_column(column) for column in table.columns}
            self.sets = [
                (name, value, converts[name])
                for name, value in _assignments(statement._values, scope)
            ]
        keys = Relation(table).keys
        touched = {name for name, *_ in self.sets or ()}
        self.mode = NO_KEY_UPDATE if self.sets is not None and not touched & keys else UPDATE
        self.unique = bool(touched & keys)
        self.parents = [each for each in Relation(table).parents if each[0] in touched]
        self.names, self.returning = _returning(statement, scope)

    async def run(self, env: Env) -> Answer:
        """Change what matches."""
        found = []
        for row, data in self.source.found(env):
            env.rows[self.place] = data
            if self._joined(env):
                found.append((row, data, list(env.rows)))
        return await self.change(env, found)

    def _joined(self, env: Env, depth: int = 0) -> bool:
        """Whether rows of the other tables match, which are then in `env`."""
        if depth == len(self.others):
            return True
        source = self.others[depth]
        for _, data in source.found(env):
            env.rows[source.place] = data
            if self._joined(env, depth + 1):
                return True
        return False

    def _still(self, env: Env) -> bool:
        """Whether a row that was changed by another matches as it is now."""
        return all(
            each.matches is None or each.matches(env) is True
            for each in (self.source, *self.others)
        )

    async def change(self, env: Env, found: list[tuple[Row, Data, list[Any]]]) -> Answer:
        """Change these rows, if they match still once they are locked."""
        relation, transaction = env.store.relations[self.relation], env.transaction
        rows: list[tuple[Any, ...]] = []
        count = 0
        for row, seen, rows_seen in found:
            await transaction.lock(row, self.mode)
            current = row.newest(transaction)
            if current is None:
                continue
            env.rows[:] = rows_seen
            env.rows[self.place] = current
            if current is not seen and not self._still(env):
                continue
            if self.sets is None:
                transaction.write(relation, row, None)
            else:
                current = await self._changed(env, relation, row, current)
                env.rows[self.place] = current
            count += 1
            if self.returning:
                rows.append(tuple(each(env) for each in self.returning))
        return Answer(self.names, rows, count)

    async def _changed(self, env: Env, relation: Relation, row: Row, current: Data) -> Data:
        changed = dict(current)
        for name, value, convert in self.sets or ():
            new = value(env)
            changed[name] = new if new is None else convert(new)
        if self.unique and await env.transaction.clash(relation, changed, but=row) is not None:
            from tests.simulation.storage import _broken  # noqa: PLC0415  # the same error

            raise _broken(f"duplicate key in {self.relation}")
        await env.transaction.check_parents(relation, changed, self.parents)
        env.transaction.write(relation, row, changed)
        return changed


Plan = SelectPlan | InsertPlan | WritePlan


def plan(statement: Any, binds: Mapping[str, int]) -> Plan:
    """The plan of a statement; `binds` says where the values of its parameters will be.

    Raises:
        Unsupported: With the name of what is not known.
    """
    scope = Scope({}, binds, _subquery)
    if isinstance(statement, selectable.Select):
        return SelectPlan(statement, scope)
    if isinstance(statement, Insert):
        return InsertPlan(statement, scope)
    if isinstance(statement, Update | Delete):
        return WritePlan(statement, scope)
    raise Unsupported(type(statement).__name__)


def _subquery(statement: Any, scope: Scope) -> Callable[[Env], list[tuple[Any, ...]]]:
    return SelectPlan(statement, scope.inner()).read


def new_store(tables: Sequence[Table]) -> Store:
    """An empty store of these tables."""
    return Store(tables)
