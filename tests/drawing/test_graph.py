"""The graph of a definition: which step follows which, and which scope is inside which step."""

from __future__ import annotations

import pytest

from coe.drawing.graph import NodeGroup, definition_graph, single_step_graph
from coe.language.schedules import starts_by
from tests.factories.definitions import loaded


def edges(group: NodeGroup) -> set[tuple[str, str, str]]:
    names = [node.name or node.icon for node in group.nodes]
    return {(names[edge.source], names[edge.target], edge.label) for edge in group.edges}


def inside(group: NodeGroup, name: str) -> tuple[NodeGroup, ...]:
    return next(node for node in group.walk() if node.name == name).groups


def test_a_switch_goes_where_its_cases_say() -> None:
    drawn = definition_graph(
        loaded(
            """
            - choose:
                switch: [{a: {when: .a, then: two}}, {b: {when: .b, then: two}}, {c: {when: .c, then: end}}]
            - one: {set: {x: 1}, then: exit}
            - two: {set: {x: 1}}
            """,  # noqa: E501  # one case after the other
        ),
    )
    assert edges(drawn) == {
        ("start", "choose", ""),
        ("choose", "two", "a, b"),
        ("choose", "finish", "c"),
        ("choose", "one", "otherwise"),
        ("one", "finish", ""),
        ("two", "finish", ""),
    }


def test_a_switch_with_a_default_has_no_other_edge() -> None:
    drawn = definition_graph(
        loaded("- choose: {switch: [{a: {then: end}}]}\n- never: {wait: PT1S}")
    )
    assert ("choose", "never", "otherwise") not in edges(drawn)


def test_a_raise_has_an_edge_only_where_it_may_be_skipped() -> None:
    error = "raise: {error: {type: https://x.example/e, status: 422}}"
    drawn = definition_graph(
        loaded(f"- bad: {{{error}}}\n- worse: {{if: .x, {error}}}\n- on: {{wait: PT1S}}")
    )
    assert {each for each in edges(drawn) if each[0] in ("bad", "worse")} == {
        ("worse", "on", "if not"),
    }


def test_a_scope_shows_where_it_is_left_early_and_where_the_run_ends() -> None:
    drawn = definition_graph(
        loaded(
            """
            - all:
                do:
                  - choose: {switch: [{a: {when: .a, then: exit}}, {b: {when: .b, then: end}}]}
                  - last: {wait: PT1S}
            - plain: {do: [{one: {wait: PT1S}}, {two: {wait: PT1S}}]}
            """,
        ),
    )
    [body] = inside(drawn, "all")
    assert edges(body) == {
        ("choose", "exit", "a"),
        ("choose", "stop", "b"),
        ("choose", "last", "otherwise"),
        ("last", "exit", ""),
    }
    [plain] = inside(drawn, "plain")
    assert [node.icon for node in plain.nodes] == ["timer", "timer"]


@pytest.mark.parametrize(
    ("task", "label"),
    [
        ("for: {in: .l}, do: [{one: {wait: PT1S}}]", "next item"),
        ("for: {in: .l}, while: .x, do: [{one: {wait: PT1S}}]", "next item, while it holds"),
        (
            "listen: {to: {one: {with: {type: t}}}}, foreach: {do: [{one: {wait: PT1S}}]}",
            "next event",
        ),
    ],
)
def test_a_loop_leads_back_to_its_first_step(task: str, label: str) -> None:
    [body] = inside(definition_graph(loaded(f"- loop: {{{task}}}")), "loop")
    assert edges(body) == {("one", "again", ""), ("again", "one", label)}


def test_branches_have_no_edges_between_them() -> None:
    [body] = inside(
        definition_graph(loaded("- f: {fork: {branches: [{a: {wait: PT1S}}, {b: {wait: PT1S}}]}}")),
        "f",
    )
    assert (body.role, body.edges) == ("branches", ())


@pytest.mark.parametrize(
    ("catch", "label"),
    [
        ("do: [{x: {wait: PT1S}}]", "on error"),
        ("when: .x, do: [{x: {wait: PT1S}}]", "on error, if it fits"),
        ("errors: {with: {status: 404}}, do: [{x: {wait: PT1S}}]", "on error 404"),
        (
            "errors: {with: {type: https://e.x/timeout, status: 408}}, do: [{x: {wait: P1D}}]",
            "on error timeout 408",
        ),
    ],
)
def test_a_catch_is_labelled_with_its_errors(catch: str, label: str) -> None:
    drawn = definition_graph(
        loaded(f"- t: {{try: [{{a: {{wait: PT1S}}}}], catch: {{{catch}, then: end}}}}")
    )
    body, caught = inside(drawn, "t")
    assert (body.role, caught.role, caught.label) == ("body", "catch", label)
    assert ("t", "finish", "after an error") in edges(drawn)


@pytest.mark.parametrize(
    ("schedule", "label"),
    [
        ("cron: '0 6 * * *'", "cron 0 6 * * *"),
        ("every: PT15M", "every PT15M"),
        ("after: P1D", "P1D after the last"),
        ("on: {one: {with: {type: t}}}", "on events"),
    ],
)
def test_the_start_is_labelled_with_the_schedule(schedule: str, label: str) -> None:
    definition = loaded("- a: {wait: PT1S}", more=f"schedule: {{{schedule}}}\n")
    assert starts_by(definition) == label
    assert definition_graph(definition).nodes[0].label == label


def test_conditions_and_empty_scopes() -> None:
    drawn = definition_graph(loaded("- a: {if: '.amount\n > 1', wait: PT1S}\n- b: {do: []}"))
    assert drawn.nodes[1].condition == "if .amount > 1"
    assert drawn.nodes[2].groups == ()
    assert edges(definition_graph(loaded("[]"))) == {("start", "finish", "")}


def test_a_flow_without_known_steps_is_one_box() -> None:
    assert edges(single_step_graph("Ship an order")) == {
        ("start", "Ship an order", ""),
        ("Ship an order", "finish", ""),
    }
