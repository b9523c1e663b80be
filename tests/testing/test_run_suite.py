"""Suites: all forms of answers, expectations, coverage and its minimum."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from coe.errors import Severity
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.language.lint.standards import NO_STANDARDS, Standard, Standards
from coe.language.lint.standards_rules import COVERAGE_STANDARD
from coe.machine.commands import RunLeaf
from coe.testing.run_suite import SuiteResult, run_suite

pytestmark = pytest.mark.asyncio(loop_scope="module")

FLOW = """
document: {dsl: 1.0.3, namespace: sales, name: lend, version: 1.0.0}
do:
  - rate:
      try:
        - readRating:
            call: http
            with: {method: get, endpoint: https://erp.example/rating}
            timeout: {after: PT10S}
      catch:
        retry: {delay: PT2S, limit: {attempt: {count: 1}}}
  - choose:
      switch:
        - good: {when: .rating == "A", then: give}
        - other: {then: ask}
  - ask:
      call: humanTask:1@default
      with:
        title: Lend it?
        candidates: {roles: [lender]}
        outcomes: [lend, refuse]
        form: {type: object, required: [limit], properties: {limit: {type: integer}}}
        dueIn: P2D
        escalate: [{after: P1D, to: bank/lead}]
  - give:
      emit: {event: {with: {type: bank.lent.v1, data: {id: 7}}}}
      output: {as: {lent: true, how: {much: 7, often: 1}}}
"""
GOOD = "{output: {rating: A}}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[Expressions]:
    async with Expressions(workers=1) as expressions:
        yield expressions


def bound(minimum: int, severity: Severity = Severity.ERROR) -> Standards:
    standard = Standard(title="t", why="w", severity=severity, options={"minimum": minimum})
    return Standards(standards={COVERAGE_STANDARD: standard})


async def run(pool: Expressions, tests: str, **more: str) -> SuiteResult:
    suite = "tests:\n" + textwrap.indent(textwrap.dedent(tests), "  ")
    files = {"flow.yaml": FLOW, "tests.yaml": suite} | more
    return await run_suite(files, pool.evaluate, standards=NO_STANDARDS)


def failures(result: SuiteResult) -> list[str]:
    assert [each.problem.message for each in result.problems] == []
    return [f"{each.line}: {each.message}" for case in result.cases for each in case.failures]


def problems(result: SuiteResult) -> list[str]:
    return [
        f"{each.file}:{each.problem.line}:{each.problem.column} {each.problem.message}"
        for each in result.problems
    ]


# ---------------------------------------------------------------- answers
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("{fault: 503}", {"type": "communication", "status": 503, "title": "Service Unavailable"}),
        ("{fault: 599}", {"type": "communication", "status": 599, "title": "Status 599"}),
        ("{fault: authorization}", {"type": "authorization", "status": 403}),
        (
            "{fault: {status: 404, detail: d}}",
            {"type": "communication", "status": 404, "detail": "d"},
        ),
        ("{fault: {title: t}}", {"type": "runtime", "status": 500, "title": "t"}),
        (
            "{fault: {type: 'https://x.example/e', status: 418}}",
            {"type": "https://x.example/e", "status": 418},
        ),
        ("{error: {type: about:blank, status: 409}}", {"type": "about:blank", "status": 409}),
        ("{silent: true}", {"type": "timeout", "status": 408}),
    ],
)
async def test_a_fault_in_each_of_its_forms(
    pool: Expressions, answer: str, error: dict[str, JSON]
) -> None:
    wanted = ", ".join(
        f"{key}: '{value}'" if key != "status" else f"{key}: {value}"
        for key, value in error.items()
    )
    result = await run(
        pool,
        f"""
        - name: a
          stubs: {{readRating: {answer}}}
          expect: {{state: FAULTED, error: {{{wanted}}}}}
        """,
    )
    assert failures(result) == []


async def test_answers_in_turn_arrive_after_their_delay(pool: Expressions) -> None:
    result = await run(
        pool,
        """
        - name: a
          stubs:
            readRating: [{fault: 503, after: PT3S}, {after: PT4S, output: {rating: A}}]
          expect:
            state: COMPLETED
            output: {lent: true, how: {much: 7, often: 1}}
            outputIncludes: {how: {much: 7}}
            outputSchema: {type: object, required: [lent]}
            took: PT9S
            path: [rate, readRating, readRating, choose, give]
            steps:
              readRating:
                - {at: PT0S, took: PT3S, state: FAULTED, attempt: 1, error: {status: 503}}
                - {at: PT5S, took: {seconds: 4}, state: COMPLETED, attempt: 2}
              give: {kind: emit}
            calls:
              - {name: readRating, at: PT0S, arguments: {method: get}}
              - {name: readRating, at: PT5S}
              - {name: give}
            called: {readRating: 2, ask: 0, give: [{type: bank.lent.v1}]}
            events: [{type: bank.lent.v1, data: {id: 7}}]
            waiting: []
        """,
    )
    assert failures(result) == []


async def test_differences_are_reported_by_member_with_their_lines(pool: Expressions) -> None:
    result = await run(
        pool,
        f"""
        - name: a
          stubs: {{readRating: {GOOD}}}
          expect:
            state: WAITING
            output: {{lent: false, how: {{much: 7}}, more: 1}}
            outputIncludes: {{how: {{often: 2}}}}
            outputSchema: {{required: [when]}}
            error: {{status: 408}}
            took: P1D
            path: [rate, readRating, ask, give]
            steps: {{readRating: {{attempt: 2}}, ask: {{}}}}
            calls: [{{name: readRating, arguments: {{method: put}}}}, {{name: give}}]
            called: {{give: 2, readRating: [{{endpoint: x}}]}}
            events: [{{type: bank.kept.v1}}]
            waiting: [ask]
        """,
    )
    assert failures(result) == [
        "6: state: expected WAITING, found COMPLETED",
        "7: output.lent: expected false, found true",
        "7: output.how.often: not expected, found 1",
        "7: output.more: expected 1, is missing",
        "8: output.how.often: expected 2, found 1",
        "9: output/when: is missing",
        '10: error: expected {"status": 408}, found null',
        '11: took: expected "P1D", found PT0S',
        "12: path: - expected, + found\n    rate\n    readRating\n  - ask\n  + choose\n    give",
        "13: steps.readRating.attempt: expected 2, found 1",
        "13: steps.ask: the run never reached it",
        '14: calls[0] readRating.arguments.method: expected "put", found "get"',
        "15: called.give: expected 2 times, found 1",
        '15: called.readRating[0].endpoint: expected "x", found "https://erp.example/rating"',
        '16: events[0].type: expected "bank.kept.v1", found "bank.lent.v1"',
        '17: waiting: expected ["ask"], found []',
    ]


async def test_an_unexpected_fault_is_described(pool: Expressions) -> None:
    result = await run(
        pool,
        """
        - {name: a, stubs: {readRating: {fault: 404}}, expect: {state: COMPLETED}}
        - {name: b, stubs: {readRating: {output: {}}}, expect: {state: COMPLETED}}
        """,
    )
    assert [each.split(": ", 2)[2] for each in failures(result)] == [
        ("expected COMPLETED, found FAULTED: 404, Not Found, /do/0/rate/try/0/readRating"),
        "expected COMPLETED, found FAULTED: 408, Nobody answered in time, /do/2/ask",
    ]


async def test_a_call_that_no_stub_answers_fails_the_test_and_says_what_to_stub(
    pool: Expressions,
) -> None:
    result = await run(pool, "- {name: a, expect: {state: WAITING}}")
    assert failures(result) == [
        (
            "2: no stub answers readRating, which calls GET https://erp.example/rating: "
            "give `readRating: {output: {}}`"
        )
    ]


async def test_an_event_that_no_door_would_let_in_fails_the_test(pool: Expressions) -> None:
    result = await run(
        pool,
        """
        - name: a
          stubs: {readRating: {fault: 404}}
          events: [{type: t, orderId: 7}]
          expect: {state: FAULTED}
        """,
    )
    [failure] = failures(result)
    assert "event 1: /orderId: the name of an attribute has 1 to 100 characters" in failure


# ---------------------------------------------------------------- people
async def test_people_answer_in_time_late_or_never(pool: Expressions) -> None:
    result = await run(
        pool,
        """
        - name: in time
          stubs:
            readRating: &unknown {output: {}}
            ask: {outcome: lend, answer: {limit: 1}, after: PT5H}
          expect:
            state: COMPLETED
            took: PT5H
            calls: [{name: readRating}, {name: ask, due: P2D}, {name: give}]
        - name: after it was handed on
          stubs:
            readRating: *unknown
            ask: {outcome: refuse, answer: {limit: 1}, after: PT30H}
          expect: {state: COMPLETED, took: PT30H}
        - name: never
          stubs: {readRating: {output: {}}, ask: {silent: true}}
          expect: {state: FAULTED, took: P2D, error: {type: timeout}}
        """,
    )
    assert failures(result) == []


async def test_an_impossible_answer_is_reported(pool: Expressions) -> None:
    result = await run(
        pool,
        """
        - name: a
          stubs: {readRating: {output: {}}, ask: {outcome: lent, answer: {limit: many}}}
          expect: {state: COMPLETED}
        """,
    )
    assert failures(result) == [
        "4: ask cannot be answered `lent`: its outcomes are lend, refuse",
        "4: the answer of ask does not fit its form: /limit must be a whole number",
    ]


TWO_DECISIONS = """
document: {dsl: 1.0.3, namespace: sales, name: lend, version: 1.0.0}
do:
  - offer:
      call: humanTask:1@default
      with: {title: Offer it?, candidates: {roles: [lender]}, exclude: [sales-owner]}
  - lend:
      call: humanTask:1@default
      with: {title: Lend it?, candidates: {roles: [bank/lender]}, approvals: 1}
"""


async def test_an_answer_of_a_person_whom_the_task_excludes_is_reported(pool: Expressions) -> None:
    result = await run(
        pool,
        """
        - name: a
          stubs: {offer: {by: lena}, lend: {by: lena}}
          expect: {state: COMPLETED}
        - name: b
          stubs: {offer: {by: sales-owner}, lend: {by: lena}}
          expect: {state: COMPLETED}
        - name: c
          stubs: {offer: {}, lend: {}}
          expect: {state: COMPLETED}
        """,
        **{"flow.yaml": TWO_DECISIONS},
    )
    assert failures(result) == [
        "4: lend cannot be answered by lena, who answered a task before it",
        "7: offer cannot be answered by sales-owner, whom its `exclude` names",
    ]


# ---------------------------------------------------------------- names
async def test_unknown_steps_are_reported_all_at_once(pool: Expressions) -> None:
    result = await run(pool, "- {name: a, parameters: {limit: 1}, expect: {}}")
    assert problems(result) == [
        "tests.yaml:2:15 only a template takes parameters: a flow's tests have none"
    ]
    result = await run(
        pool,
        """
        - name: a
          stubs:
            readRatings: {output: 1}
            choose: {output: 1}
            ask: {output: 1}
            readRating: {outcome: lend}
          expect:
            path: [rate, {atOnce: [[give], [asks]]}]
            steps: {rates: {}}
            called: {gives: 0}
            calls: [{name: readd}]
            waiting: [nobody]
        - name: a
          expect: {}
        """,
    )
    assert problems(result) == [
        "tests.yaml:5:7 there is no step `readRatings`, did you mean `readRating`?",
        "tests.yaml:6:7 `choose` makes no call, so it takes no answer",
        "tests.yaml:7:7 `ask` is a human task: `output` does not fit",
        "tests.yaml:8:7 `readRating` is a call: `outcome` does not fit",
        "tests.yaml:10:20 there is no step `asks`, did you mean `ask`?",
        "tests.yaml:11:15 there is no step `rates`, did you mean `rate`?",
        "tests.yaml:12:16 there is no step `gives`, did you mean `give`?",
        "tests.yaml:13:15 there is no step `readd`",
        "tests.yaml:14:17 there is no step `nobody`",
        "tests.yaml:15:5 a second test with the name `a`",
    ]


# ---------------------------------------------------------------- events and concurrent branches
EVENTS = """
document: {dsl: 1.0.3, namespace: sales, name: listen, version: 1.0.0}
do:
  - both:
      fork:
        branches:
          - first: {do: [{one: {set: {x: 1}}}, {hear: {listen: {to: {one: {with: {type: a.b}}}}}}]}
          - second: {do: [{two: {wait: PT1H}}]}
  - third: {listen: {to: {all: [{with: {type: a.c}}, {with: {type: a.c}}]}}}
"""


async def test_events_arrive_at_their_time_and_branches_interleave(pool: Expressions) -> None:
    result = await run(
        pool,
        """
        - name: a
          events:
            - {after: PT30M, type: a.b, data: 1}
            - {after: PT2H, type: a.c, data: 2}
            - {after: PT2H, type: a.c, data: 3}
          expect:
            state: COMPLETED
            output: [2, 3]
            took: PT2H
            path: [both, {atOnce: [[first, one, hear], [second, two]]}, third]
            steps: {hear: {took: PT30M}, third: {at: PT1H}}
        - name: one event is missing
          events: [{type: a.b}, {type: a.c}]
          expect: {state: WAITING, waiting: [third], took: PT1H}
        - name: in the wrong order
          events: [{type: a.b}, {type: a.c}]
          expect: {path: [both, {atOnce: [[first, hear, one], [second, two]]}, third]}
        """,
        **{"flow.yaml": EVENTS},
    )
    [only] = failures(result)
    assert "path:" in only


# ---------------------------------------------------------------- decisions
async def test_a_call_without_a_stub_may_be_carried_out(pool: Expressions) -> None:
    flow = """
document: {dsl: 1.0.3, namespace: sales, name: decide, version: 1.0.0}
do:
  - table:
      call: decision:1@default
      with: {ref: finance/rating@^1, input: {used: 7}}
"""
    suite = "tests: [{name: a, expect: {output: {rating: B}}}]"

    async def runner(leaf: RunLeaf) -> JSON:
        assert leaf.kind == "decision"
        return {"rating": "B"}

    files = {"flow.yaml": flow, "tests.yaml": suite}
    result = await run_suite(files, pool.evaluate, standards=NO_STANDARDS, runner=runner)
    assert failures(result) == []


# ---------------------------------------------------------------- coverage
# One test a line: each also runs without the others.
ALL = [
    f"- {{name: good, stubs: {{readRating: {GOOD}}}, expect: {{}}}}",
    (
        "- {name: asked, expect: {}, stubs: {readRating: [{silent: true}, {output: {}}], "
        "ask: {after: P1DT1S, outcome: lend}}}"
    ),
    "- {name: refused, stubs: {readRating: {output: {}}, ask: {outcome: refuse}}, expect: {}}",
    "- {name: nobody, stubs: {readRating: {output: {}}, ask: {silent: true}}, expect: {}}",
    "- {name: away, stubs: {readRating: {fault: 503}}, expect: {}}",
]


async def test_each_test_covers_its_branches(pool: Expressions) -> None:
    whole = (await run(pool, "\n".join(ALL))).covered
    assert whole is not None
    assert (whole.missed_branches, whole.missed_steps) == ((), ())
    assert (whole.percent, whole.branches, whole.steps) == (100, 11, 5)
    missing = {}
    for line in ALL:
        left = (await run(pool, "\n".join(each for each in ALL if each != line))).covered
        assert left is not None
        name = line.split(",")[0].removeprefix("- {name: ")
        missing[name] = [str(branch) for branch in left.missed_branches]
    assert missing == {
        "good": ["choose case good"],
        "asked": [
            "readRating times out",
            "ask is answered lend",
        ],
        "refused": ["ask is answered refuse"],
        "nobody": ["ask is never answered"],
        "away": ["rate has no retries left"],
    }


async def test_a_missed_branch_has_its_place_and_how_to_reach_it(pool: Expressions) -> None:
    result = await run(pool, f"- {{name: a, stubs: {{readRating: {GOOD}}}, expect: {{}}}}")
    covered = result.covered
    assert covered is not None
    assert covered.percent == 27.2
    assert [(step.name, step.line) for step in covered.missed_steps] == [("ask", 16)]
    missed = [(str(each), each.line, each.column) for each in covered.missed_branches]
    assert ("ask escalates (1)", 24, 20) in missed
    assert all(each.how for each in covered.missed_branches)


@pytest.mark.parametrize(
    ("standards", "passed", "message"),
    [
        (
            bound(100),
            False,
            "the tests reach 27.2 % of the branches and 80 % of the steps, not 100 %",
        ),
        (bound(50), False, "the tests reach 27.2 % of the branches, not 50 %"),
        (bound(27), True, None),
        (bound(100, Severity.WARNING), True, "27.2 %"),
        (NO_STANDARDS, True, None),
    ],
)
async def test_too_little_coverage_fails_by_the_standard(
    pool: Expressions, standards: Standards, *, passed: bool, message: str | None
) -> None:
    suite = f"tests: [{{name: a, stubs: {{readRating: {GOOD}}}, expect: {{}}}}]"
    files = {"flow.yaml": FLOW, "tests.yaml": suite}
    result = await run_suite(files, pool.evaluate, standards=standards)
    assert result.passed is passed
    messages = [each.problem.message for each in result.problems]
    assert (message is None) == (messages == [])
    assert message is None or message in messages[0]


async def test_a_selection_of_tests_has_no_minimum_coverage(pool: Expressions) -> None:
    suite = """
tests:
  - {name: One, stubs: {readRating: {fault: 404}}, expect: {state: FAULTED}}
  - {name: two, expect: {state: WAITING}}
"""
    files = {"flow.yaml": FLOW, "tests.yaml": suite}
    result = await run_suite(files, pool.evaluate, standards=bound(100), only="one")
    assert [case.name for case in result.cases] == ["One"]
    assert result.covered is None
    assert result.passed


async def test_a_flow_without_tests_is_reported_with_help(pool: Expressions) -> None:
    result = await run_suite({"flow.yaml": FLOW}, pool.evaluate, standards=bound(100))
    assert not result.passed
    [problem] = [each.problem for each in result.problems]
    assert problem.code == COVERAGE_STANDARD
    assert "expect:" in str(problem.help)


async def test_a_definition_that_does_not_load_is_reported_with_its_file(pool: Expressions) -> None:
    suite = "- {name: a, expect: {}}"
    result = await run(pool, suite, **{"flow.yaml": FLOW.replace("switch:", "swich:")})
    assert problems(result) == ["flow.yaml:13:7 unknown key `swich`, did you mean `switch`?"]
    assert problems(await run(pool, suite, **{"flow.yaml": "{"}))[0].startswith("flow.yaml:1:2 ")


# ---------------------------------------------------------------- templates
MANIFEST = """
kind: template
namespace: sales
name: lend
version: 1.0.0
title: Lend
summary: Lends.
parameters:
  type: object
  properties: {careful: {type: boolean, default: false}}
  examples: [{}, {careful: true}]
"""
TEMPLATE = """
document: {dsl: 1.0.3, namespace: $(flow.namespace), name: $(flow.name), version: 1.0.0}
do:
  - $if: params.careful
    $then:
      - look:
          do:
            - closely: {if: .close, set: {x: 1}}
  - give:
      if: ${ .give }
      set: {x: 1}
"""


async def test_the_coverage_of_a_template_is_over_all_renderings(pool: Expressions) -> None:
    more = {"flow.yaml": TEMPLATE, "template.yaml": MANIFEST, "README.md": "Lends"}
    tests = "- {name: a, input: {give: true}, expect: {output: {x: 1}}}"
    result = await run(pool, tests, **more)
    assert failures(result) == []
    assert result.covered is not None
    missed = {str(each): (each.line, each.column) for each in result.covered.missed_branches}
    assert missed == {
        "closely runs": (8, 25),
        "closely is skipped": (8, 25),
        "give is skipped": (10, 7),
    }
    tests += """
- {name: b, parameters: {careful: true}, input: {close: true}, expect: {took: PT0S}}
- {name: c, parameters: {careful: true}, input: {}, expect: {}}
"""
    result = await run(pool, tests, **more)
    assert failures(result) == []
    assert result.covered is not None
    assert result.covered.missed_branches == ()


async def test_invalid_parameters_are_reported_at_their_test(pool: Expressions) -> None:
    more = {"flow.yaml": TEMPLATE, "template.yaml": MANIFEST, "README.md": "Lends"}
    result = await run(pool, "- {name: a, parameters: {careful: 1}, expect: {}}", **more)
    [problem] = problems(result)
    assert problem.startswith("tests.yaml:2:")
