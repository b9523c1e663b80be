"""SQL statements as plans over rows in memory: SELECT, INSERT, UPDATE, DELETE.

A plan is made once a statement (by SQLAlchemy's own cache key) and carried out with the bound
values of each call. Reading happens in one moment; writing locks row by row, and may wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Table
from sqlalchemy.sql import elements, selectable
from sqlalchemy.sql.dml import Delete, Insert, Update

from tests.simulation.expressions import (
    EXCLUDED,
    Env,
    Function,
    Scope,
    Unsupported,
    compile_expression,
    named_tables,
    to_column,
)
from tests.simulation.reading import Answer, SelectPlan, maybe, name_of, sources_of
from tests.simulation.storage import (
    NO_KEY_UPDATE,
    UPDATE,
    Data,
    Relation,
    Row,
    Store,
)

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
            self.where = maybe(clause.update_whereclause, scope)

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
    names = [name_of(column, number) for number, column in enumerate(columns)]
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
        self.source, *self.others = sources_of([table, *others], clauses, scope)
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
        env.transaction.write(relation, row, changed)
        await env.transaction.check_parents(relation, changed, self.parents)
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
