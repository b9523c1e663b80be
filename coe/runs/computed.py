"""What is computed of runs' data and drawings, in a process that can be killed (`coe.confined`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coe.catalog.flows.computed import flow_of
from coe.catalog.flows.documents import flow_graph
from coe.decisions.table import DecisionFault, DecisionTable
from coe.drawing import RunOverlay, svg_of
from coe.drawing.graph import NodeGroup, graph_of_steps
from coe.drawing.mermaid import mermaid_of
from coe.errors import Problem
from coe.json_types import JSON
from coe.language.json_schema.violations import input_problems

TakenStep = tuple[str, str, str]
"""The path, the name and the kind of a step that the run has taken."""


def draw_mermaid(
    definition: str | None, steps: Sequence[TakenStep], flow: str, states: Mapping[str, str]
) -> str:
    """Mermaid source of a run; without its definition, of the steps that it has taken."""
    group, _ = _drawn(definition, steps, flow)
    return mermaid_of(group, states)


def draw_svg(
    definition: str | None, steps: Sequence[TakenStep], flow: str, ref: str, overlay: RunOverlay
) -> str:
    """The SVG of a run likewise."""
    group, title = _drawn(definition, steps, flow)
    return svg_of(group, title, ref, overlay)


def _drawn(definition: str | None, steps: Sequence[TakenStep], flow: str) -> tuple[NodeGroup, str]:
    """The graph of the run's definition, as far as it may be seen, and its title."""
    document = flow_of(definition)[0] if definition is not None else None
    if document is None or document.definition is None:
        title = document.search_document.title if document is not None else flow
        return graph_of_steps(list(steps)), title
    return flow_graph(document), document.search_document.title


def data_problems(schema: JSON, value: JSON, path: str) -> tuple[Problem, ...]:
    """The violations of a schema by an input, an answer or an output, located below a path."""
    return input_problems(schema, value, path=path)


def decided(
    table: DecisionTable, inputs: Sequence[JSON]
) -> list[tuple[JSON, tuple[str, ...], str | None]]:
    """What a table decides for each of some inputs: the outputs, the rules, and why it fails."""
    return [_decided(table, each) for each in inputs]


def _decided(table: DecisionTable, data: JSON) -> tuple[JSON, tuple[str, ...], str | None]:
    try:
        found = table.decide(data)
    except DecisionFault as fault:
        return None, (), str(fault)
    return found.outputs, tuple(found.rules), None
