"""The checks that a mutated machine must pass: scenarios, crashes in them, and tests by hand.

All checks run in one process without waiting: jq is called directly (only our code is mutated),
definitions are read once, and a coroutine that would really wait is an error.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import types
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, ClassVar

import jq

from coe.language.expressions import jq_worker
from coe.language.expressions.evaluator import Expressions
from coe.language.model.definition import Definition
from coe.machine.scope import json_equal
from tests.mutation.operators import Mutant

# Reloaded for each mutant: the machine, and the modules that import parts of it by name.
RELOADED = (
    "coe.language.expressions.variables",
    "coe.language.json_schema.patterns",
    "coe.language.request_arguments",
    "coe.machine.",
    "coe.testing.",
    "tests.machine.",
)
# Not reloaded, because modules outside hold their classes.
KEPT = ("coe.machine.commands", "coe.machine.facts", "coe.machine.redaction")
BY_HAND = tuple(
    f"tests.machine.test_{name}"
    for name in (
        *("machine", "commands", "human_tasks", "step_times"),
        *("values", "limits", "arguments"),
    )
)
# Slow scenarios run last.
LAST = ("flow/visits",)

Check = tuple[str, Callable[[], None]]


class _Direct:
    """A jq worker in this process."""

    def __init__(self) -> None:
        self._compiled: dict[bytes, Any] = {}

    async def ask(self, request: bytes) -> bytes:
        header, _, data = request.partition(b"\n")
        answer = jq_worker.evaluate(jq, self._compiled, header, data)
        return (answer if isinstance(answer, str) else json.dumps(answer)).encode()


EXPRESSIONS = Expressions()
EXPRESSIONS._pool = _Direct()  # type: ignore[assignment]


def now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


@contextmanager
def mutated(mutant: Mutant | None) -> Iterator[None]:
    """Reload the machine with a change, and restore it at the end."""
    kept = {name: module for name, module in sys.modules.items() if _is_reloaded(name)}
    for name in kept:
        _forget(name)
    finder = _Finder(mutant)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_reloaded(name)]:
            _forget(name)
        sys.modules.update(kept)


def _is_reloaded(name: str) -> bool:
    return name.startswith(RELOADED) and name not in KEPT


def _forget(name: str) -> None:
    """Remove a module so that every form of import loads it again."""
    del sys.modules[name]
    package, _, own = name.rpartition(".")
    vars(sys.modules.get(package, sys)).pop(own, None)


class _Finder:
    """An import finder for the reloaded modules; all but the mutated one are compiled once."""

    compiled: ClassVar[dict[str, types.CodeType]] = {}

    def __init__(self, mutant: Mutant | None) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Any = None, _: Any = None) -> Any:
        found = PathFinder.find_spec(name, path) if _is_reloaded(name) else None
        if found is not None:
            found.loader = self  # type: ignore[assignment]
        return found

    def create_module(self, _: Any) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        exec(self._code(module.__name__, str(module.__file__)), module.__dict__)  # noqa: S102 - the mutant

    def _code(self, name: str, file: str) -> types.CodeType:
        if self._mutant is not None and Path(file).name == self._mutant.file:
            return compile(self._mutant.tree(), self._mutant.file, "exec")
        if name not in self.compiled:
            self.compiled[name] = compile(Path(file).read_bytes(), file, "exec")
        return self.compiled[name]


# ---------------------------------------------------------------- checks
class World:
    """The definitions and expectations of all scenarios, read once."""

    def __init__(self) -> None:
        from tests.machine.scenarios import scenarios  # noqa: PLC0415 - it is reloaded

        found = scenarios()
        self.scenarios = sorted(found, key=lambda one: one.name.startswith(LAST))
        self.definitions: dict[str, Definition] = {
            one.name: one.definition() for one in self.scenarios
        }

    def checks(self, shown_by: frozenset[str] | None = None) -> Iterator[Check]:
        """The checks with these names, or all: the quick ones first."""
        chosen = [one for one in self.scenarios if shown_by is None or one.name in shown_by]
        for one in chosen:
            yield one.name, partial(self._run, self._gives_result, one)
        for name, check in _by_hand():
            if shown_by is None or name.partition("[")[0] in shown_by:
                yield name, check
        if shown_by is None:
            for one in chosen:
                yield f"{one.name} (crashes)", partial(self._run, self._survives, one)

    def _run(self, check: Callable[[Any], Coroutine[Any, Any, None]], scenario: Any) -> None:
        now(check(scenario))

    async def _gives_result(self, scenario: Any) -> None:
        """Check that a scenario gives the expected result."""
        suites = importlib.import_module("coe.testing.suites")
        # Expectations are compared with the unchanged function.
        for name, module in sys.modules.items():
            if name.startswith("coe.testing.") and hasattr(module, "json_equal"):
                module.json_equal = json_equal
        testing = importlib.import_module("coe.testing.run_definition")
        case = suites.case_of(scenario.test)
        definition = self.definitions[scenario.name]
        trace = await testing.simulate(definition, case, EXPRESSIONS.evaluate)
        found = suites.differences(scenario.test["expect"], trace, case)
        assert not found, found

    async def _survives(self, scenario: Any) -> None:
        """Check that a crash between any two facts changes nothing."""
        module = importlib.import_module("tests.machine.test_scenarios")
        flow = self.definitions[scenario.name]
        await module.crash_everywhere(flow, scenario.test, EXPRESSIONS.evaluate)


def _by_hand() -> Iterator[Check]:
    """The tests that apply facts by hand."""
    for name in BY_HAND:
        module = importlib.import_module(name)
        for test, function in vars(module).items():
            if test.startswith("test_"):
                for label, arguments in _cases(function):
                    yield f"{test}{label}", partial(_call, function, arguments)


def _cases(function: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The arguments with which pytest would call a test: fixtures, and one set of parameters."""
    fixtures = {"evaluate": EXPRESSIONS.evaluate, "expressions": EXPRESSIONS}
    wanted = inspect.signature(function).parameters
    given = {name: value for name, value in fixtures.items() if name in wanted}
    parametrized = [
        mark for mark in getattr(function, "pytestmark", ()) if mark.name == "parametrize"
    ]
    if not parametrized:
        yield "", given
        return
    names, sets = parametrized[0].args
    for number, values in enumerate(sets):
        each = {names: values} if isinstance(names, str) else dict(zip(names, values, strict=True))
        yield f"[{number}]", given | each


def _call(function: Any, arguments: dict[str, Any]) -> None:
    result = function(**arguments)
    if inspect.iscoroutine(result):
        now(result)
