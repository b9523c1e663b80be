"""The answers of people to the human tasks of a simulated run; what nobody could have answered.

One answer stands for as many people as the task asks; `answers` are those of several people, of
whom enough must give the same one, as on the platform (`coe.machine.approvals`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from coe.formats import instants
from coe.json_types import JSON
from coe.language.functions import APPROVERS
from coe.language.json_schema.violations import violations
from coe.machine.approvals import GivenAnswer, agree, answer_digest
from coe.machine.commands import OpenHumanTask
from coe.machine.facts import Fact, FactKind
from coe.testing.agenda import delayed

TESTER: Final = "tester"
"""Answers a human task if the stub names nobody."""


def human_answers(
    command: OpenHumanTask, stub: Mapping[str, JSON], now: datetime
) -> tuple[Fact | None, list[str]]:
    """The fact that a task is answered, and mistakes: what nobody could have answered.

    None if too few people give the same answer. Without an `outcome`, an answer has the first
    declared one.
    """
    mistakes: list[str] = []
    standing: tuple[GivenAnswer, ...] = ()
    several = stub.get("answers")
    given = (
        [each for each in several if isinstance(each, dict)] if isinstance(several, list) else None
    )
    for each in [stub] if given is None else given:
        at, answer = delayed(each, now)
        data = _data(command, answer, instants.write_seconds(at))
        mistakes += _mistakes(command, data)
        by = str(data["by"])
        if any(approval.by == by for approval in standing):
            mistakes.append(f"{command.name} cannot be approved twice by {by}")
            continue
        agreement = agree(
            standing,
            GivenAnswer(by, str(data["at"]), answer_digest(str(data["outcome"]), data["answer"])),
            needed=1 if given is None else command.approvals,
            first_outcome=data["outcome"] == _outcomes(command)[0],
        )
        standing = agreement.approvals
        if agreement.decided:
            data["approvals"] = [approval.to_json() for approval in standing]
            return Fact(FactKind.TASK_ANSWERED, at, command.key, data), mistakes
    return None, mistakes


def approvers(answer: JSON) -> list[str]:
    """Who gave the answer of a fact TASK_ANSWERED."""
    if not isinstance(answer, dict):
        return [TESTER]
    approvals = answer.get("approvals")
    listed = approvals if isinstance(approvals, list) else [answer]
    return [str(each.get("by")) for each in listed if isinstance(each, dict)]


def _outcomes(command: OpenHumanTask) -> list[JSON]:
    arguments = command.arguments if isinstance(command.arguments, dict) else {}
    outcomes = arguments.get("outcomes")
    return outcomes if isinstance(outcomes, list) and outcomes else ["done"]


def _data(command: OpenHumanTask, stub: Mapping[str, JSON], at: str) -> dict[str, JSON]:
    return {
        "outcome": stub.get("outcome", _outcomes(command)[0]),
        "answer": stub.get("answer"),
        "reason": stub.get("reason"),
        "by": stub.get("by", TESTER),
        "at": at,
    }


def exclusions(
    command: OpenHumanTask, by: str, answered: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """The mistakes of an answer by a person whom the task excludes.

    `answered` are the answers before it: who gave each, and the question of its task.
    """
    if by in command.exclude:
        yield f"{command.name} cannot be answered by {by}, whom its `exclude` names"
    others = (who for who, question in answered if question != command.question)
    if APPROVERS in command.exclude and by in others:
        yield f"{command.name} cannot be answered by {by}, who answered a task before it"


def _mistakes(command: OpenHumanTask, answer: Mapping[str, JSON]) -> Iterator[str]:
    name, arguments = command.name, command.arguments
    if not isinstance(arguments, dict):
        return
    outcomes, form = arguments.get("outcomes"), arguments.get("form")
    if isinstance(outcomes, list) and answer["outcome"] not in outcomes:
        known = ", ".join(map(str, outcomes))
        yield f"{name} cannot be answered `{answer['outcome']}`: its outcomes are {known}"
    if form is not None and answer["answer"] is not None:
        for each in violations(form, answer["answer"]):
            yield f"the answer of {name} does not fit its form: {each}"
