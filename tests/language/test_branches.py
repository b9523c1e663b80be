"""The branches of a definition by task type, without those that cannot be reached."""

from __future__ import annotations

import pytest

from coe.language.branches import branches_of
from tests.factories.definitions import loaded

CALL = "call: http\n  with: {method: get, endpoint: https://erp.example/x}"
PATIENT = "{delay: PT1S, limit: {attempt: {count: 2}}}"
CASES = [
    ("nothing to decide", "- a:\n    set: {x: 1}", []),
    ("if", "- a:\n    if: ${ .x }\n    set: {x: 1}", ["a runs", "a is skipped"]),
    ("if that is always so", "- a:\n    if: ${ true }\n    set: {x: 1}", []),
    ("if that never is", "- a:\n    if: ${ false }\n    set: {x: 1}", []),
    (
        "switch with a default",
        """
        - s:
            switch:
              - big: {when: .x > 1, then: continue}
              - small: {then: end}
        """,
        ["s case big", "s case small"],
    ),
    (
        "switch without a default",
        "- s:\n    switch:\n      - big: {when: .x > 1, then: end}",
        ["s case big", "s no case matches"],
    ),
    (
        "for",
        "- f:\n    for: {in: .all}\n    do: [{a: {set: {x: 1}}}]",
        ["f has no items", "f goes through all items"],
    ),
    (
        "for with a condition",
        "- f:\n    for: {in: .all}\n    while: ${ .go }\n    do: [{a: {set: {x: 1}}}]",
        ["f has no items", "f goes through all items", "f is ended by `while`"],
    ),
    (
        "for over what stands there",
        "- f:\n    for: {in: [{x: 1}]}\n    do: [{a: {set: {x: 1}}}]",
        ["f goes through all items"],
    ),
    (
        "parallelMap",
        """
        - m:
            call: parallelMap:1@default
            with: {in: .all, do: [{a: {set: {x: 1}}}]}
        """,
        ["m has no items", "m goes through all items"],
    ),
    ("fork", "- f:\n    fork: {branches: [{a: {set: {x: 1}}}, {b: {set: {x: 1}}}]}", []),
    (
        "a race",
        "- f:\n    fork: {compete: true, branches: [{a: {set: {x: 1}}}, {b: {set: {x: 1}}}]}",
        ["f a wins", "f b wins"],
    ),
    (
        "a race that one must lose",
        """
        - f:
            fork:
              compete: true
              branches:
                - a: {set: {x: 1}}
                - b: {raise: {error: {type: https://x.example/e, status: 400}}}
        """,
        ["f a wins"],
    ),
    (
        "try that catches all",
        "- t:\n    try: [{a: {set: {x: 1}}}]\n    catch: {}",
        ["t succeeds", "t catches an error"],
    ),
    (
        "try that catches some",
        """
        - t:
            try: [{a: {set: {x: 1}}}]
            catch: {errors: {with: {status: 404}}, do: [{b: {set: {x: 1}}}]}
        """,
        ["t succeeds", "t lets an error pass", "t catches an error"],
    ),
    (
        "try with retries",
        f"- t:\n    try: [{{a: {{set: {{x: 1}}}}}}]\n    catch: {{retry: {PATIENT}}}",
        ["t succeeds", "t tries again", "t has no retries left"],
    ),
    (
        "retries of some errors",
        """
        - t:
            try: [{a: {set: {x: 1}}}]
            catch:
              retry: {when: $error.status == 503, limit: {duration: PT1M}}
              do: [{b: {set: {x: 1}}}]
        """,
        ["t succeeds", "t tries again", "t does not try again", "t has no retries left"],
    ),
    (
        "retries without end",
        "- t:\n    try: [{a: {set: {x: 1}}}]\n    catch: {retry: {delay: PT1S}}",
        ["t succeeds", "t tries again"],
    ),
    (
        "no retries at all",
        """
        - t:
            try: [{a: {set: {x: 1}}}]
            catch: {retry: {when: .x, limit: {attempt: {count: 0}}}}
        """,
        ["t succeeds", "t has no retries left"],
    ),
    (
        "try that must fail",
        """
        - t:
            try:
              - a: {raise: {error: {type: https://x.example/e, status: 400}}}
              - b: {set: {x: 1}}
            catch: {}
        """,
        ["t catches an error"],
    ),
    (
        "retries that take too long",
        f"""
        - t:
            try: [{{a: {{{CALL.splitlines()[0]}, with: {{method: get, endpoint: 'https://x.example'}}}}}}]
            catch: {{retry: {{limit: {{attempt: {{count: 1, duration: PT1M}}}}}}}}
        """,
        [
            "t succeeds",
            "t tries again",
            "t has no retries left",
            "t a retry ends in time",
            "t a retry times out",
        ],
    ),
    (
        "listen to one",
        "- l:\n    listen: {to: {one: {with: {type: a.b}}}}",
        [],
    ),
    (
        "listen to any",
        "- l:\n    listen: {to: {any: [{with: {type: a.b}}, {with: {type: a.c}}]}}",
        ["l takes event 1", "l takes event 2"],
    ),
    (
        "listen until events",
        "- l:\n    listen: {to: {any: [{with: {type: a.b}}], until: {one: {with: {type: a.c}}}}}",
        ["l takes event 1", "l ends without an event"],
    ),
]
HUMAN = [
    ("title: T, candidates: {roles: [r]}", []),
    (
        "title: T, candidates: {roles: [r]}, outcomes: [yes, no]",
        ["h is answered yes", "h is answered no"],
    ),
    (
        "title: T, candidates: {roles: [r]}, dueIn: P1D",
        ["h is answered", "h is never answered"],
    ),
    (
        (
            "title: T, candidates: {roles: [r]}, outcomes: [yes], dueIn: P1D, "
            "escalate: [{after: P1D, to: a/b}, {after: P2D, to: c/d}]"
        ),
        ["h is answered yes", "h escalates (1)", "h escalates (2)", "h is never answered"],
    ),
    (
        "title: T, candidates: {roles: [r]}, escalate: [{after: P1D, to: a/b}]",
        ["h escalates (1)"],
    ),
    (
        "title: T, candidates: {roles: [r]}, outcomes: '${ .all }', dueIn: '${ .due }'",
        ["h is answered", "h is never answered"],
    ),
]
TIMES = [
    ("a call may time out", "{call: http, with: %s, timeout: {after: PT1S}}", True),
    ("what takes no time cannot", "{set: {x: 1}, timeout: {after: PT1S}}", False),
    ("a wait that is shorter cannot", "{wait: PT1M, timeout: {after: PT2M}}", False),
    ("a wait that is longer does", "{wait: PT3M, timeout: {after: PT2M}}", True),
    (
        "what is bounded inside cannot",
        (
            "{do: [{b: {call: http, with: %s, timeout: {after: PT1S}}}, {c: {wait: PT1S}}], "
            "timeout: {after: PT3S}}"
        ),
        False,
    ),
    (
        "retries add up",
        (
            "{try: [{b: {call: http, with: %s, timeout: {after: PT1S}}}], "
            "catch: {retry: {delay: PT1S, backoff: {exponential: {}}, "
            "limit: {attempt: {count: 2}}}}, timeout: {after: PT5S}}"
        ),
        True,
    ),
    (
        "all that retries can add up to may still be shorter",
        (
            "{try: [{b: {call: http, with: %s, timeout: {after: PT1S}}}], "
            "catch: {retry: {delay: PT1S, backoff: {exponential: {}}, "
            "limit: {attempt: {count: 2}}}}, timeout: {after: PT6S}}"
        ),
        False,
    ),
    (
        "a loop over an unknown number may take any time",
        "{for: {in: '${ . }'}, do: [{b: {wait: PT1S}}], timeout: {after: P1D}}",
        True,
    ),
    (
        "branches at once take as long as the longest",
        "{fork: {branches: [{b: {wait: PT2S}}, {c: {wait: PT3S}}]}, timeout: {after: PT4S}}",
        False,
    ),
]
HTTP = "{method: get, endpoint: 'https://x.example'}"


def labels(tasks: str, more: str = "") -> list[str]:
    return [str(branch) for branch in branches_of(loaded(tasks, more=more)).branches]


@pytest.mark.parametrize(("tasks", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_branches_of_a_task(tasks: str, expected: list[str]) -> None:
    assert labels(tasks) == expected


@pytest.mark.parametrize(("arguments", "expected"), HUMAN)
def test_the_branches_of_a_human_task(arguments: str, expected: list[str]) -> None:
    assert labels(f"- h:\n    call: humanTask:1@default\n    with: {{{arguments}}}") == expected


@pytest.mark.parametrize(("task", "may"), [t[1:] for t in TIMES], ids=[t[0] for t in TIMES])
def test_a_timeout_counts_where_it_can_pass(task: str, *, may: bool) -> None:
    written = task.replace("%s", HTTP)
    assert ("a times out" in labels(f"- a: {written}")) is may
    assert ("a ends in time" in labels(f"- a: {written}")) is may


def test_the_timeout_of_the_flow_counts_where_its_tasks_can_take_longer() -> None:
    call = f"- a: {{call: http, with: {HTTP}, timeout: {{after: PT30S}}}}"
    more = "timeout: {after: %s}\n"
    assert "order-to-cash times out" in labels(call, more % "PT29S")
    assert "order-to-cash times out" not in labels(call, more % "PT30S")
    assert "a times out" not in labels(call, more % "PT29S")
    assert "a times out" in labels(call, more % "PT31S")


def test_a_local_flow_may_be_too_late() -> None:
    with_ = "{ref: warehouse/pick@^1, timeout: PT10M}"
    assert labels(f"- a:\n    call: localFlow:1@default\n    with: {with_}") == [
        "a the call ends in time",
        "a the call times out",
    ]


def test_what_comes_too_late_for_a_timeout_around_it_does_not_count() -> None:
    task = (
        "- h:\n    call: humanTask:1@default\n    timeout: {after: P2D}\n    with: {title: T, "
        "candidates: {roles: [r]}, outcomes: [yes], dueIn: P4D, escalate: "
        "[{after: P3D, to: a/b}, {after: P1D, to: a/b}]}"
    )
    assert labels(task) == ["h ends in time", "h times out", "h is answered yes", "h escalates (1)"]


def test_only_tasks_that_can_be_reached_count() -> None:
    reach = branches_of(
        loaded(
            """
            - start:
                set: {x: 1}
                then: last
            - never:
                if: ${ .x }
                do: [{inner: {set: {x: 1}}}]
            - off:
                if: ${ false }
                do: [{inside: {set: {x: 1}}}]
            - last:
                call: greet
            """,
            more="use: {functions: {greet: {if: '${ .x }', set: {x: 1}}, other: {set: {x: 1}}}}\n",
        )
    )
    assert [step.name for step in reach.steps] == ["start", "last", "greet"]
    assert [str(branch) for branch in reach.branches] == ["greet runs", "greet is skipped"]


def test_a_branch_has_its_place_and_how_to_cover_it() -> None:
    retry = "retry: {limit: {attempt: {count: 1}}}"
    tasks = f"- ask:\n    try: [{{erp: {{set: {{x: 1}}}}}}]\n    catch:\n      {retry}"
    [_, again, spent] = branches_of(loaded(tasks)).branches
    assert (again.line, again.column) == (10, 9)
    assert again.place == "/do/0/ask/catch/retry"
    assert again.key == "/do/ask"
    assert "fault" in again.how
    assert spent.how != again.how
