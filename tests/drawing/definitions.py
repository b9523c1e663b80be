"""Random definitions for drawings: nested scopes, jumps forwards and back, names of any kind."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from coe.language.load import load_source
from coe.language.model.definition import Definition
from coe.language.source import Source

NAMES = st.text(min_size=1, max_size=40)
LEAVES: list[dict[str, Any]] = [
    {"set": {"a": 1}},
    {"wait": "PT5M"},
    {"call": "http", "with": {"method": "get", "endpoint": "https://erp.example.com/orders/{id}"}},
    {"call": "humanTask:1@default", "with": {"title": "Decide", "candidates": {"roles": ["r"]}}},
    {"call": "localFlow:1@default", "with": {"ref": "warehouse/pick-and-pack@^1"}},
    {"call": "decision:1@default", "with": {"ref": "finance/limits"}},
    {"call": "grpc", "with": {"proto": {"endpoint": "https://x.example/p"},
                              "service": {"name": "S", "host": "h"}, "method": "m"}},
    {"run": {"workflow": {"namespace": "hr", "name": "hire", "version": "latest"}}},
    {"emit": {"event": {"with": {"type": "com.example.order.placed.v1"}}}},
    {"raise": {"error": {"type": "https://example.com/errors/refused", "status": 422}}},
    {"listen": {"to": {"one": {"with": {"type": "t"}}}}},
]  # fmt: skip


@st.composite
def scopes(draw: st.DrawFn, depth: int = 3) -> list[dict[str, Any]]:
    """A list of tasks whose directives lead to tasks of the list."""
    count = draw(st.integers(1, 7))
    names = [f"{draw(NAMES) if draw(st.integers(0, 4)) == 0 else 'step'}{n}" for n in range(count)]
    tasks = [draw(_tasks(depth, names)) for _ in names]
    return [{name: task} for name, task in zip(names, tasks, strict=True)]


@st.composite
def _tasks(draw: st.DrawFn, depth: int, names: list[str]) -> dict[str, Any]:
    then = st.sampled_from(["continue", "exit", "end", *names])
    kind = draw(st.sampled_from(["leaf", "leaf", "leaf", "switch", "holder"]))
    if kind == "switch":
        cases = draw(st.lists(then, min_size=1, max_size=5))
        return {
            "switch": [
                {f"case{n}": {"when": f". == {n}", "then": target} if n else {"then": target}}
                for n, target in enumerate(cases)
            ],
        }
    task: dict[str, Any] = dict(draw(st.sampled_from(LEAVES)))
    if kind == "holder" and depth:
        task = draw(_holders(depth - 1, then))
    if draw(st.integers(0, 4)) == 0:
        task["then"] = draw(then)
    if draw(st.integers(0, 6)) == 0:
        task["if"] = '.amount > 1000 and .customer.segment == "gold"'
    return task


@st.composite
def _holders(draw: st.DrawFn, depth: int, then: st.SearchStrategy[str]) -> dict[str, Any]:
    inner = draw(scopes(depth))
    catch: dict[str, Any] = {"do": draw(scopes(depth))}
    if draw(st.booleans()):
        catch["then"] = draw(then)
    holders: list[dict[str, Any]] = [
        {"do": inner},
        {"for": {"in": ".items"}, "do": inner},
        {"fork": {"branches": inner}},
        {"try": inner, "catch": {"retry": {"limit": {"attempt": {"count": 2}}}}},
        {"try": inner, "catch": catch},
        {"listen": {"to": {"one": {"with": {"type": "t"}}}}, "foreach": {"do": inner}},
        {"call": "parallelMap:1@default", "with": {"in": ".items", "do": inner}},
    ]
    return draw(st.sampled_from(holders))


DEFINITIONS = scopes().map(
    lambda tasks: {
        "document": {"dsl": "1.0.3", "namespace": "sales", "name": "any", "version": "1.0.0"},
        "do": tasks,
    },
)


def defined(data: dict[str, Any]) -> Definition:
    """The definition of a document, which must load."""
    loaded = load_source(Source(data))
    assert loaded.definition is not None, loaded.problems
    return loaded.definition
