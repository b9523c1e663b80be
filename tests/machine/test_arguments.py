"""The specification's table of runtime expression arguments: each row and column."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from coe.language.expressions import variables
from coe.language.source import read
from coe.machine.machine import EvaluateJq
from coe.testing.cases import SimulationCase, Trace
from coe.testing.run_definition import simulate
from tests.machine.scenarios import definition

TABLE: Any = read((Path(__file__).parent / "arguments.yaml").read_text()).data
ROWS: dict[str, dict[str, list[str]]] = {row["place"]: row for row in TABLE["rows"]}
CELLS = [(place, argument) for place in ROWS for argument in TABLE["arguments"]]

# The sets of the linter and of the machine for each row.
BOUND = {
    "workflow input.from": variables.FLOW_INPUT,
    "task if": variables.CONDITION,
    "task input.from": variables.INPUT,
    "task definition": variables.DEFINITION,
    "authentication": variables.AUTHENTICATION,
    "task output.as": variables.DEFINITION,
    "task export.as": variables.EXPORT,
    "workflow output.as": variables.FLOW_OUTPUT,
}

# Each argument with a program that is true if the argument has the right value.
RAW = {"order": {"n": 1}}
PROBES = {
    "context": "$context == {exported: 1}",
    "input": "$input == {n: 1}",
    "output": "$output == 42",
    "secrets": '$secrets == {erp: {username: "ann", password: "conform"}}',
    "task": '$task.name == "probe" and $task.reference == "/do/1/probe"'
    ' and $task.input == {order: {n: 1}} and $task.definition.call == "http"'
    ' and $task.startedAt.iso8601 == "2026-01-05T09:00:05Z"'
    ' and ($task | keys) == ["definition", "input", "name", "output", "reference", "startedAt"]',
    "workflow": '$workflow.id == "run" and $workflow.input == {order: {n: 1}}'
    ' and $workflow.definition.document.name == "scenario"'
    " and $workflow.startedAt.epoch == {seconds: 1767603600, milliseconds: 1767603600000}"
    ' and ($workflow | keys) == ["definition", "id", "input", "startedAt"]',
    "runtime": '$runtime == {name: "coe", version: "1", metadata: {}}',
    "authorization": '$authorization == {scheme: "Basic", parameter: "YW5uOmNvbmZvcm0="}',
}
# The raw output, which `$task` has from `output.as` on.
DONE = " and $task.output == {answer: 42}"
FLOW: dict[str, Any] = {
    "use": {"secrets": ["erp"]},
    "do": [
        {"before": {"wait": "PT5S", "export": {"as": {"exported": 1}}}},
        {
            "probe": {
                "input": {"from": ".order"},
                "call": "http",
                "with": {
                    "method": "post",
                    "endpoint": {
                        "uri": "https://erp.example",
                        "authentication": {"basic": {"use": "erp"}},
                    },
                },
                "output": {"as": ".answer"},
            }
        },
    ],
}
SECRET = {"username": "ann", "password": "conform"}


def _flow(place: str, program: str) -> dict[str, Any]:
    """A flow with a program at a place; the result of the place is the value of the program."""
    flow = copy.deepcopy(FLOW)
    probe = flow["do"][1]["probe"]
    asked = f"({program}) as $held | "
    match place:
        case "workflow input.from":
            flow["input"] = {"from": f"{asked}{{held: $held}}"}
            flow["do"] = [{"read": {"set": "${ .held }"}}]
        case "task if":
            probe["if"] = program
        case "task input.from":
            probe["input"]["from"] = f"{asked}{{held: $held}}"
        case "task definition":
            probe["with"]["body"] = f"${{ {program} }}"
        case "authentication":
            probe["with"]["endpoint"]["authentication"] = {
                "bearer": {"token": f'${{ {program} | if . then "held" else "not" end }}'}
            }
            probe["output"]["as"] = "$authorization.parameter"
        case "task output.as":
            probe["output"]["as"] = program
        case "task export.as":
            probe["export"] = {"as": program}
        case "workflow output.as":
            flow["output"] = {"as": program}
    return flow


def _held(place: str, trace: Trace) -> Any:
    """The value of the program."""
    [body] = [c for c in trace.commands if hasattr(c, "arguments")] or [None]
    match place:
        case "task if":
            return [step.state.value for step in trace.steps] == ["COMPLETED", "COMPLETED"]
        case "task input.from":
            return trace.output
        case "task definition":
            assert body is not None
            return body.arguments["body"]
        case "authentication":
            return trace.output == "held"
        case _:
            return trace.output


async def _run(place: str, argument: str, program: str, evaluate: EvaluateJq) -> Trace:
    flow = _flow(place, program)
    if place == "task export.as":
        flow["output"] = {"as": "$context"}
    if place == "task input.from":
        flow["do"][1]["probe"]["output"]["as"] = "$input.held"
    case = SimulationCase(
        input=RAW, secrets={"erp": SECRET}, stubs={"probe": {"output": {"answer": 42}}}
    )
    return await simulate(definition(flow), case, evaluate)


@pytest.mark.parametrize(("place", "argument"), CELLS)
async def test_an_argument_is_bound_as_in_the_table(
    place: str, argument: str, evaluate: EvaluateJq
):
    program = PROBES[argument]
    if argument == "task" and place in {"task output.as", "task export.as"}:
        program += DONE
    if argument == "authorization" and place == "authentication":
        program = "$authorization == null"
    trace = await _run(place, argument, program, evaluate)
    if argument in ROWS[place]["here"]:
        assert trace.state == "COMPLETED", trace.error
        assert _held(place, trace) is True
        return
    assert trace.error is not None
    pointer = {"workflow input.from": "/input", "workflow output.as": "/output"}
    assert (trace.error["type"].rpartition("/")[2], trace.error["status"]) == ("expression", 400)
    assert trace.error["instance"] == pointer.get(place, "/do/1/probe")
    assert f"${argument} is not defined" in str(trace.error["detail"])


@pytest.mark.parametrize("place", list(ROWS))
def test_a_row_narrows_the_specification_and_equals_the_linters(place: str):
    here, theirs = set(ROWS[place]["here"]), set(ROWS[place]["specification"])
    assert here <= theirs
    assert here ^ theirs <= {"secrets"}
    assert here == BOUND[place]


def test_the_table_has_every_row_and_column():
    assert len(CELLS) == 64
    assert set(BOUND) == set(ROWS)
    assert set(PROBES) == set(TABLE["arguments"]) == variables.RESERVED
