from __future__ import annotations

import re

import pytest

from coe.drawing.mermaid import mermaid
from coe.drawing.step_labels import label_of, performer_of
from tests.factories.definitions import loaded

STORY = """
- getCustomer:
    call: http
    with: {method: get, endpoint: 'https://crm.example.com/customers/{id}'}
- decide:
    switch:
      - high: {when: .x, then: approve}
      - low: {then: ship}
- approve: {call: 'humanTask:1@default', with: {title: Approve, candidates: {roles: [r]}}}
- approved: {switch: [{no: {when: .y, then: refuse}}]}
- ship:
    try:
      - pick: {call: 'localFlow:1@default', with: {ref: warehouse/pick-and-pack@^1}}
    catch:
      retry: {limit: {attempt: {count: 1}}}
      do: [{undo: {call: 'localFlow:1@default', with: {ref: sales/cancel@^1}}}]
      then: refuse
    then: end
- refuse: {raise: {error: {type: https://x.example/refused, status: 422}}}
"""


def edges(text: str) -> set[tuple[str, str]]:
    """Names of steps that an arrow joins."""
    named = dict(re.findall(r'^\s*(?:subgraph )?(\w+)[\[({]+"([^"<]*)', text, re.MULTILINE))
    arrows = re.findall(r"^\s*(\w+) -[-.].*?>(?:\|[^|]*\|)? (\w+)$", text, re.MULTILINE)
    return {(named.get(a, a).strip() or a, named.get(b, b).strip() or b) for a, b in arrows}


def classes(text: str) -> dict[str, set[str]]:
    found = re.findall(r"^\s*class ([\w,]+) ([\w-]+)$", text, re.MULTILINE)
    return {name: set(ids.split(",")) for ids, name in found}


def ids(text: str) -> dict[str, str]:
    found = re.findall(r'^\s*(?:subgraph )?(\w+)[\[({]+"([^"<]+)', text, re.MULTILINE)
    return {name: node for node, name in found}


def test_the_edges_of_a_flow_are_drawn() -> None:
    assert edges(mermaid(loaded(STORY))) == {
        ("start", "getCustomer"),
        ("getCustomer", "decide"),
        ("decide", "approve"),
        ("decide", "ship"),
        ("approve", "approved"),
        ("approved", "refuse"),
        ("approved", "ship"),
        ("pick", "on error"),
        ("ship", "refuse"),
        ("ship", "finish"),
    }


def test_the_class_of_a_step_is_its_performer() -> None:
    text = mermaid(loaded(STORY))
    node, kinds = ids(text), classes(text)
    assert kinds["human"] == {node["approve"]}
    assert kinds["foreign"] == {node["pick"]}
    assert kinds["automatic"] == {node["getCustomer"], node["undo"], node["refuse"]}
    assert kinds["control"] == {node["decide"], node["approved"]}


def test_states_are_laid_over() -> None:
    states = {"/do/0/getCustomer": "COMPLETED", "/do/4/ship": "RUNNING", "/do/9/gone": "FAULTED"}
    text = mermaid(loaded(STORY), states)
    node, kinds = ids(text), classes(text)
    assert kinds["state-completed"] == {node["getCustomer"]}
    assert kinds["state-running"] == {node["ship"]}
    assert "state-faulted" not in kinds
    # The last class wins in Mermaid, so states come behind all others.
    order = re.findall(r"^\s*class [\w,]+ ([\w-]+)$", text, re.MULTILINE)
    assert all(name.startswith("state-") for name in order[-2:])


def test_boxes_hold_their_steps() -> None:
    text = mermaid(
        loaded(
            """
            - loop: {for: {in: .l}, do: [{one: {wait: PT1S}}, {two: {wait: PT1S}}]}
            - split: {fork: {branches: [{left: {wait: PT1S}}, {right: {wait: PT1S}}]}}
            - heard:
                listen: {to: {one: {with: {type: t}}}}
                foreach: {do: [{inner: {wait: PT1S}}]}
            """
        )
    )
    assert text.count("subgraph ") == 3
    assert text.count("\n  end\n") == 3
    assert ("one", "two") in edges(text)
    assert ("left", "right") not in edges(text)
    assert ("loop", "split") in edges(text)


@pytest.mark.parametrize(
    "evil", ['a"] --> b["x', "<script>", "a`b`", "#quot;", "a\nb", "end", "%%{init}"]
)
def test_a_name_cannot_leave_its_label(evil: str) -> None:
    import json  # noqa: PLC0415

    text = mermaid(loaded(f"- {json.dumps(evil)}: {{wait: PT1S}}"))
    [label] = re.findall(r'^\s*t1\{\{"(.*)"\}\}$', text, re.MULTILINE)
    assert not set(label.replace("<br/>", "")) & set('"<>`\n')
    assert text.count("\n") == mermaid(loaded("- a: {wait: PT1S}")).count("\n")


def test_the_same_definition_gives_the_same_text() -> None:
    assert mermaid(loaded(STORY)) == mermaid(loaded(STORY))


@pytest.mark.parametrize(
    ("task", "performer", "label"),
    [
        ("call: a2a, with: {method: tasks/get}", "unsupported", "call: a2a"),
        ("run: {shell: {command: ls}}", "unsupported", "run.shell"),
        ("run: {workflow: {namespace: sales, name: w, version: 1.0.0}}", "automatic", "sales/w"),
        ("run: {workflow: {namespace: hr, name: w, version: 1.0.0}}", "foreign", "hr/w"),
        ("call: 'localFlow:1@default', with: {ref: '${ .r }'}", "foreign", "localFlow"),
        ("call: 'notify:1@default', with: {channel: mail}", "automatic", "mail"),
        ("wait: PT90S", "control", "wait PT1M30S"),
        ("set: {a: 1}", "automatic", ""),
        ("call: http, with: {method: post, endpoint: '${ .u }'}", "automatic", "POST …"),
    ],
)
def test_the_performer_and_label_of_a_step(task: str, performer: str, label: str) -> None:
    [step] = loaded(f"- a: {{{task}}}").do
    assert performer_of(step, "sales") == performer
    assert label_of(step) == label
