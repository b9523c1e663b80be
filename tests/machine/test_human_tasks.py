"""The commands of human tasks: who may answer, when they are due, which question they are."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import pytest

from coe.json_types import JSON
from coe.machine.approvals import Agreement, GivenAnswer, agree, answer_digest
from coe.machine.commands import Completed, OpenHumanTask, Stage
from coe.machine.facts import FactKind
from coe.machine.machine import EvaluateJq
from coe.testing.cases import DEFAULT_START
from tests.machine.driver import Driver


async def test_a_human_task_has_a_due_time_and_an_escalation(evaluate: EvaluateJq):
    arguments = {
        "title": "Look",
        "candidates": {"roles": ["clerk"]},
        "approvals": 2,
        "dueIn": "PT4H",
        "remind": ["PT3H", "PT1H"],
        "escalate": [{"after": "PT5H", "to": "head"}, {"after": "PT2H", "to": "lead"}],
    }
    run = Driver({"do": [{"a": {"call": "humanTask:1@default", "with": arguments}}]}, evaluate)
    [task] = await run.start()
    assert isinstance(task, OpenHumanTask)
    assert task.due == DEFAULT_START + timedelta(hours=4)
    assert task.reminders == (
        DEFAULT_START + timedelta(hours=1),
        DEFAULT_START + timedelta(hours=3),
    )
    assert task.approvals == 2
    assert task.stages == (
        Stage(DEFAULT_START + timedelta(hours=2), "lead"),
        Stage(DEFAULT_START + timedelta(hours=5), "head"),
    )
    assert task.expires == DEFAULT_START + timedelta(hours=5)
    assert await run.fact(FactKind.TASK_ESCALATED, task.key, {"to": "lead"}) == []
    assert run.machine.pending() == [task]


async def test_who_approved_is_kept_from_the_data_of_the_run(evaluate: EvaluateJq):
    arguments = {"title": "Look", "candidates": {"roles": ["clerk"]}}
    run = Driver({"do": [{"a": {"call": "humanTask:1@default", "with": arguments}}]}, evaluate)
    [task] = await run.start()
    answer: JSON = {"outcome": "approved", "by": "ann"}
    await run.fact(FactKind.TASK_ANSWERED, task.key, {**answer, "approvals": [{"by": "bob"}]})
    assert run.machine.outcome == Completed(answer)


@pytest.mark.parametrize(
    ("given", "excluded"),
    [
        ({}, ()),
        ({"approvals": 1}, ("approvers",)),
        ({"approvals": 2, "exclude": ["requester"]}, ("requester",)),
        ({"approvals": 2, "exclude": []}, ()),
        ({"exclude": ["${ .author }", "approvers"]}, ("sam", "approvers")),
    ],
)
async def test_a_human_task_says_who_may_not_answer(
    evaluate: EvaluateJq, given: dict[str, JSON], excluded: tuple[str, ...]
):
    arguments = {"title": "Look", "candidates": {"roles": ["clerk"]}} | given
    ask = {"call": "humanTask:1@default", "with": arguments}
    run = Driver({"do": [{"a": ask}]}, evaluate)
    [task] = await run.start({"author": "sam"})
    assert isinstance(task, OpenHumanTask)
    assert task.exclude == excluded


async def test_a_task_that_is_asked_again_has_the_same_question(evaluate: EvaluateJq):
    ask = {
        "call": "humanTask:1@default",
        "with": {"title": "Look", "candidates": {"roles": ["${ .role }"]}},
    }
    roles = ["lead", "finance/lead", "lead"]
    loop = {
        "for": {"in": f"${{ {json.dumps(roles)} }}", "each": "role"},
        "do": [{"one": {"call": "ask", "with": {"role": "${ $role }"}}}],
    }
    run = Driver({"use": {"functions": {"ask": ask}}, "do": [{"all": loop}]}, evaluate)
    questions = []
    [task] = await run.start()
    for _ in roles:
        assert isinstance(task, OpenHumanTask)
        questions.append(task.question)
        [task] = await run.fact(FactKind.TASK_ANSWERED, task.key, {"outcome": "done"})
    assert questions[0] == questions[2] != questions[1]
    assert questions[0].splitlines() == ["/do/0/all/do/0/one", "/use/functions/ask", "lead"]


# ---------------------------------------------------------------- approvals of one answer


def test_an_answer_is_known_by_the_digest_of_its_outcome_and_data():
    canonical = b'{"answer":{"n":1},"outcome":"approved"}'
    assert answer_digest("approved", {"n": 1}) == hashlib.sha256(canonical).hexdigest()
    given = GivenAnswer("ann", "2026-01-05T09:00:00Z", "d")
    assert given.to_json() == {"by": "ann", "at": "2026-01-05T09:00:00Z", "digest": "d"}


def test_people_agree_who_give_the_same_answer():
    ann, bob, cid = (
        GivenAnswer("ann", "1", "d"),
        GivenAnswer("bob", "2", "d"),
        GivenAnswer("cid", "3", "e"),
    )
    again = GivenAnswer("ann", "4", "d")

    def after(*standing: GivenAnswer, given: GivenAnswer, needed: int = 2) -> Agreement:
        return agree(standing, given, needed=needed, first_outcome=True)

    assert after(given=ann) == Agreement((ann,), (), decided=False)
    assert after(given=ann, needed=1) == Agreement((ann,), (), decided=True)
    assert after(ann, given=bob) == Agreement((ann, bob), (), decided=True)
    assert after(ann, given=cid) == Agreement((cid,), (ann,), decided=False)
    assert after(ann, given=again) == Agreement((ann, again), (), decided=False)
    assert after(ann, cid, given=bob, needed=3) == Agreement((ann, bob), (cid,), decided=False)
    other = agree([ann], cid, needed=2, first_outcome=False)
    assert other == Agreement((cid,), (), decided=True)
