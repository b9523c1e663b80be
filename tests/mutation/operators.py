"""Mutation operators: small changes of code, each of which should break a rule.

A mutant is a module with one node of its syntax tree replaced. Nodes without an effect on rules are
left unchanged: docstrings, annotations, texts for people (titles, details, messages of internal
exceptions), and reports for the coverage of tests (`run.on_branch`).
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

# Calls that other tests check: tests/machine/test_branch_outcomes.py.
_COVERAGE = {"on_branch", "_on_branch", "observer"}
# Keyword arguments with texts for people, and those of dataclass fields.
_READ = {"title", "detail", "repr", "default_factory", "observer"}

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
}
_NAMES = {
    "min": "max",
    "max": "min",
    "all": "any",
    "any": "all",
    "append": "appendleft",
    "appendleft": "append",
}


@dataclass(frozen=True)
class Mutant:
    """A module (by its file name) with one change; `name` does not depend on line numbers.

    `tree` makes the changed module: a copy for each of thousands of mutants takes a minute.
    """

    file: str
    line: int
    name: str
    tree: Callable[[], ast.Module]


def mutants(file: str, source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its text."""
    tree = ast.parse(source)
    found = _Finder().find(tree)
    taken: Counter[str] = Counter()
    made = []
    for site in found:
        name = f"{file}: {site.scope}: {site.kind}: {site.before} -> {site.after}"
        taken[name] += 1
        if taken[name] > 1:
            name = f"{name} (#{taken[name]})"
        made.append(Mutant(file, site.line, name, partial(_apply, tree, site)))
    return made


@dataclass(frozen=True)
class _Site:
    line: int
    scope: str
    kind: str
    before: str
    after: str
    number: int
    change: Callable[[ast.AST], ast.AST | None]


def _apply(tree: ast.Module, site: _Site) -> ast.Module:
    """A copy of the tree in which the site's node is changed."""
    mutated = copy.deepcopy(tree)
    targets = list(ast.walk(mutated))
    target = targets[site.number]
    replacement = site.change(target)
    if replacement is not target and replacement is not None:
        for parent in targets:
            for field, value in ast.iter_fields(parent):
                if value is target:
                    setattr(parent, field, replacement)
                elif isinstance(value, list):
                    for index, item in enumerate(value):
                        if item is target:
                            value[index] = replacement
    return ast.fix_missing_locations(mutated)


class _Finder:
    """Walks a tree and collects the possible changes."""

    def __init__(self) -> None:
        self._sites: list[_Site] = []
        self._numbers: dict[int, int] = {}

    def find(self, tree: ast.Module) -> list[_Site]:
        self._numbers = {id(node): number for number, node in enumerate(ast.walk(tree))}
        self._body(tree.body, "")
        return self._sites

    # ------------------------------------------------------------ statements
    def _body(self, statements: list[ast.stmt], scope: str) -> None:
        for statement in statements:
            self._statement(statement, scope)

    def _statement(self, node: ast.stmt, scope: str) -> None:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.Pass():
                return
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__" | "title")]):
                return
            case ast.Assign(targets=[ast.Name(id=name)]) if name.isupper() and not scope:
                self._expressions(node, scope)
                return
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                self._definition(node, scope)
                return
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return
        self._delete(node, scope)
        match node:
            case ast.If() | ast.While():
                self._negate(node.test, scope)
            case ast.Return(value=ast.expr() as value) if not _is_nothing(value):
                self._note(value, scope, "return", "None", lambda _: ast.Constant(None))
        self._expressions(node, scope)
        for inner in _blocks(node):
            self._body(inner, scope)

    def _definition(
        self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, scope: str
    ) -> None:
        inner = f"{scope}.{node.name}" if scope else node.name
        if not isinstance(node, ast.ClassDef):
            for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
                self._expression(default, inner)
        self._body(node.body, inner)

    def _delete(self, node: ast.stmt, scope: str) -> None:
        """Delete a statement, unless a name would become undefined."""
        match node:
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name))) if name in _COVERAGE:
                return
            case (
                ast.Expr()
                | ast.AugAssign()
                | ast.Raise()
                | ast.Continue()
                | ast.Break()
                | ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_])
            ):
                self._note(node, scope, "delete", "pass", lambda _: ast.Pass())
            case ast.Return(value=None):
                self._note(node, scope, "delete", "pass", lambda _: ast.Pass())

    # ------------------------------------------------------------ expressions
    def _expressions(self, node: ast.stmt, scope: str) -> None:
        for value in _values(node):
            self._expression(value, scope)

    def _expression(self, node: ast.AST, scope: str) -> None:
        for inner in _walk(node):
            self._mutate(inner, scope)

    def _mutate(self, node: ast.AST, scope: str) -> None:
        match node:
            case ast.Compare(ops=[operator]):
                for other in _COMPARISONS[type(operator)]:
                    changed = ast.Compare(node.left, [other()], node.comparators)
                    self._note(node, scope, "compare", ast.unparse(changed), _operator(other))
            case ast.BoolOp():
                self._boolean(node, scope)
            case ast.UnaryOp(op=ast.Not()):
                after = ast.unparse(node.operand)
                self._note(node, scope, "not", after, lambda found: found.operand)  # type: ignore[attr-defined]
            case ast.BinOp():
                self._binary(node, scope)
            case ast.IfExp():
                self._negate(node.test, scope)
            case ast.comprehension(ifs=tests):
                self._negate_all(tests, scope)
            case ast.Constant():
                self._constant(node, scope)
            case ast.Call():
                self._call(node, scope)

    def _negate(self, test: ast.expr, scope: str) -> None:
        """Negate a condition, unless another change does so already."""
        if not isinstance(test, ast.Compare | ast.UnaryOp | ast.Constant):
            self._note(test, scope, "negate", f"not ({ast.unparse(test)})", _negate)

    def _negate_all(self, tests: list[ast.expr], scope: str) -> None:
        for test in tests:
            self._negate(test, scope)

    def _boolean(self, node: ast.BoolOp, scope: str) -> None:
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        after = ast.unparse(ast.BoolOp(other(), node.values))
        self._note(node, scope, "boolean", after, _operator(other))
        for index in range(len(node.values)):
            rest = [value for place, value in enumerate(node.values) if place != index]
            left = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
            self._note(node, scope, "operand", ast.unparse(left), _without(index))

    def _binary(self, node: ast.BinOp, scope: str) -> None:
        for other in _ARITHMETIC.get(type(node.op), ()):
            after = ast.unparse(ast.BinOp(node.left, other(), node.right))
            self._note(node, scope, "arithmetic", after, _operator(other))
        if isinstance(node.op, ast.BitOr):
            for side in ("left", "right"):
                after = ast.unparse(getattr(node, side))
                self._note(node, scope, "operand", after, _side(side))

    def _constant(self, node: ast.Constant, scope: str) -> None:
        value = node.value
        if isinstance(value, bool):
            changed: object = not value
        elif isinstance(value, int | float):
            changed = value + 1
        elif isinstance(value, str):
            changed = f"{value}x" if value else "x"
        else:
            return
        self._note(node, scope, "constant", repr(changed), lambda _: ast.Constant(changed))

    def _call(self, node: ast.Call, scope: str) -> None:
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in _NAMES and not (name == "append" and isinstance(node.func, ast.Attribute)):
            self._note(node.func, scope, "name", _NAMES[name], _renamed(_NAMES[name]))
        for index, keyword in enumerate(node.keywords):
            if keyword.arg in _READ or keyword.arg is None:
                continue
            self._note(node, scope, "keyword", f"without {keyword.arg}", _less(index))

    # ------------------------------------------------------------ notes
    def _note(
        self,
        node: ast.AST,
        scope: str,
        kind: str,
        after: str,
        change: Callable[[ast.AST], ast.AST | None],
    ) -> None:
        number = self._numbers.get(id(node))
        if number is None:
            return
        before = _short(ast.unparse(node))
        line = getattr(node, "lineno", 0)
        self._sites.append(_Site(line, scope or "-", kind, before, _short(after), number, change))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else f"{line[:45]} … {line[-22:]}"


def _is_nothing(node: ast.expr) -> bool:
    """Whether a result is as false as None, so that None in its place changes no condition."""
    return isinstance(node, ast.Constant) and not node.value


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The statements inside a statement."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield block
    for handler in getattr(node, "handlers", ()):
        yield handler.body
    for case in getattr(node, "cases", ()):
        yield case.body


def _values(node: ast.stmt) -> Iterator[ast.AST]:
    """The expressions of a statement, without annotations and assignment targets."""
    match node:
        case ast.Raise(exc=ast.Call(func=ast.Name(id="ValueError" | "TypeError" | "RuntimeError"))):
            return
        case ast.AnnAssign(value=value):
            if value is not None:
                yield value
        case ast.Match():
            yield from _match_values(node)
        case _:
            for field, value in ast.iter_fields(node):
                if field in {"body", "orelse", "finalbody", "handlers", "targets", "target"}:
                    continue
                for item in value if isinstance(value, list) else [value]:
                    if isinstance(item, ast.expr):
                        yield item
                    elif isinstance(item, ast.withitem):
                        yield item.context_expr


def _match_values(node: ast.Match) -> Iterator[ast.AST]:
    yield node.subject
    for case in node.cases:
        if case.guard is not None:
            yield case.guard
        parts = ast.walk(case.pattern)
        yield from (part.value for part in parts if isinstance(part, ast.MatchValue))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and its descendants, without texts for people."""
    match node:
        case ast.JoinedStr():
            return
        case ast.Call(func=ast.Attribute(attr=name)) if name in _COVERAGE:
            return
        case ast.Call(func=ast.Name(id="field" | "ValueError" | "TypeError" | "TypeVar")):
            return
        case ast.Call(func=ast.Attribute(attr="fault")):
            yield node
            return
    yield node
    for field, value in ast.iter_fields(node):
        if isinstance(node, ast.arguments) and field in {"args", "kwonlyargs"}:
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.keyword) and item.arg in _READ:
                continue
            if isinstance(item, ast.AST):
                yield from _walk(item)


# ---------------------------------------------------------------- changes
def _negate(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.expr)
    return ast.UnaryOp(ast.Not(), node)


def _operator(other: type[ast.AST]) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Compare):
            node.ops = [other()]  # type: ignore[list-item]
        else:
            node.op = other()  # type: ignore[attr-defined]
        return node

    return change


def _without(index: int) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.BoolOp)
        rest = [value for place, value in enumerate(node.values) if place != index]
        return rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)

    return change


def _side(side: str) -> Callable[[ast.AST], ast.AST]:
    return lambda node: getattr(node, side)  # type: ignore[no-any-return]


def _renamed(name: str) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Attribute):
            node.attr = name
        elif isinstance(node, ast.Name):
            node.id = name
        return node

    return change


def _less(index: int) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.Call)
        del node.keywords[index]
        return node

    return change
