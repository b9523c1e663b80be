"""The scenarios as data: definitions with answers, events and the expected result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from coe.language.load import load
from coe.language.model.definition import Definition
from coe.language.source import read
from coe.machine.facts import Fact
from coe.machine.machine import EvaluateJq, Machine, RunContext
from coe.testing.cases import SimulationCase, Trace

ROOT = Path(__file__).resolve().parent / "scenarios"
DOCUMENT = {"dsl": "1.0.3", "namespace": "tests", "name": "scenario", "version": "1.0.0"}


@dataclass(frozen=True)
class Scenario:
    name: str
    flow: dict[str, Any]
    test: dict[str, Any]

    def definition(self) -> Definition:
        return definition(self.flow)


def definition(flow: dict[str, Any]) -> Definition:
    loaded = load(json.dumps({"document": DOCUMENT, **flow}))
    assert loaded.definition is not None, loaded.problems
    return loaded.definition


def scenarios() -> list[Scenario]:
    found = []
    for file in sorted(ROOT.glob("*/*.yaml")):
        data: Any = read(file.read_text(), file=str(file)).data
        for test in data["scenarios"]:
            flow = test.pop("flow", None) or data["flow"]
            name = f"{file.parent.name}/{file.stem}: {test['name']}"
            found.append(Scenario(name, flow, test))
    return found


def machine(flow: Definition, case: SimulationCase, evaluate: EvaluateJq) -> Machine:
    context = RunContext(case.run_id, secrets=case.secrets, max_visits=case.max_visits)
    return Machine(flow, context, evaluate)


async def replayed(
    flow: Definition, case: SimulationCase, facts: list[Fact], evaluate: EvaluateJq
) -> Machine:
    """The machine after the replay of a journal that was serialized and read again."""
    replay = machine(flow, case, evaluate)
    for fact in facts:
        await replay.apply(Fact.from_json(orjson.loads(orjson.dumps(fact.to_json()))))
    return replay


def outcome_of(trace: Trace) -> Any:
    return (trace.state, trace.output, trace.error)
