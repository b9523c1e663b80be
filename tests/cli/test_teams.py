"""`coe team` and `coe person` against the API: a team is made, people join, ask and leave."""

from __future__ import annotations

import json
from typing import Any

from click.testing import Result

from coe.cli.documents import plain_id
from tests.cli.conftest import Served
from tests.factories.runs import APPROVAL, central, publish

WHY = ("--reason", "because")


def data(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def test_a_team_is_made_joined_asked_and_left(served: Served) -> None:
    coe = served.coe
    made = await coe("coe-lead", "team", "create", "returns", "--name", "Returns")
    assert "members come from API" in made.stdout
    assert (await coe("coe-lead", "team", "create", "returns", "--name", "R")).exit_code == 8
    added = await coe("coe-lead", "team", "add", "returns", "outsider", "--role", "lead", *WHY)
    assert "second person" in added.stdout, added.output
    key = added.stderr.split("coe team approve ")[1].strip()
    listed = data(await coe("coe-reviewer", "team", "changes", "-o", "json"))
    assert [plain_id(node["id"]) for node in listed["nodes"]] == [key]
    own = await coe("coe-lead", "team", "approve", key)
    assert (own.exit_code, "relation:proposer" in own.stderr) == (5, True), own.output
    assert "APPROVED" in (await coe("coe-reviewer", "team", "approve", key)).stdout
    wrong = await coe("outsider", "team", "add", "returns", "rosa", "--role", "develper", *WHY)
    assert (wrong.exit_code, "did you mean" in wrong.stderr) == (1, True), wrong.output
    done = await coe("outsider", "team", "add", "returns", "rosa", "--role", "developer", *WHY)
    assert "done" in done.stdout
    given = ("--role", "operator", "--until", "14d", *WHY)
    changed = await coe("outsider", "team", "change", "returns", "rosa", *given)
    assert "done" in changed.stdout, changed.output
    assert "rosa" in (await coe("outsider", "team", "show", "returns")).stdout
    given = ("finance", "rosa", "--role", "operator", *WHY)
    refused = await coe("finance-lead", "team", "add", *given)
    assert (refused.exit_code, "catalog/teams/finance.yaml" in refused.stderr) == (8, True)

    given = ("returns", "--role", "developer", *WHY)
    asked = await coe("warehouse-developer", "team", "request", *given)
    assert "asked: returns/developer" in asked.stdout, asked.output
    inbox = await coe("outsider", "task", "list")
    assert "coe team requests" in inbox.stderr
    assert "coe team requests" not in (await coe("warehouse-developer", "task", "list")).stderr
    waiting = data(await coe("outsider", "team", "requests", "-o", "json"))
    request = plain_id(waiting["nodes"][0]["id"])
    granted = await coe("outsider", "team", "grant", request, "--until", "7d")
    assert "GRANTED" in granted.stdout, granted.output
    assert (await coe("outsider", "team", "decline", request, *WHY)).exit_code == 8
    again = data(
        await coe(
            "warehouse-developer", "team", "requests", "--mine", "--state", "granted", "-o", "json"
        )
    )
    assert again["totalCount"] == 1

    moved = await coe("coe-lead", "team", "source", "returns", "scim", *WHY)
    assert "come from SCIM" in moved.stdout
    gone = await coe("outsider", "team", "remove", "returns", "rosa", *WHY)
    assert (gone.exit_code, "by SCIM" in gone.stderr) == (8, True)
    refused = await coe("coe-reviewer", "team", "refuse", key, *WHY)
    assert refused.exit_code == 8


async def test_people_are_suspended_and_leave(served: Served) -> None:
    coe = served.coe
    assert (await coe("warehouse-developer", "access", "me")).exit_code == 0
    done = await coe("coe-lead", "person", "suspend", "warehouse-developer", *WHY)
    assert "SUSPENDED" in done.stdout, done.output
    assert (await coe("warehouse-developer", "access", "me")).exit_code == 5
    assert "warehouse-developer" in (await coe("coe-lead", "person", "list")).stdout
    assert "No accounts" in (await coe("sales-owner", "person", "list")).stdout
    done = await coe("coe-lead", "person", "activate", "warehouse-developer", *WHY)
    assert "ACTIVE" in done.stdout
    assert (await coe("warehouse-developer", "access", "me")).exit_code == 0
    refused = await coe("finance-lead", "person", "leave", "warehouse-developer", *WHY)
    assert refused.exit_code == 5
    left = await coe("coe-lead", "person", "leave", "warehouse-developer", *WHY)
    assert "LEFT" in left.stdout, left.output
    assert (await coe("warehouse-developer", "access", "me")).exit_code == 5
    held = await coe("finance-lead", "person", "holdings", "sales-owner")
    assert held.exit_code == 0, held.output


async def test_a_team_is_onboarded_and_offboarded(served: Served) -> None:
    coe = served.coe
    given = ("--name", "Returns", "--lead", "outsider", "--no-flow")
    made = data(await coe("coe-lead", "team", "onboard", "returns", *given, "-o", "json"))
    steps = {step["key"]: step for step in made["steps"]}
    assert (steps["lead"]["state"], steps["service"]["state"]) == ("WAITING", "NOW")
    key = steps["lead"]["command"].removeprefix("coe team approve ")
    assert (await coe("coe-reviewer", "team", "approve", key)).exit_code == 0
    shown = data(await coe("coe-lead", "team", "checklist", "returns", "-o", "json"))
    assert shown[0]["done"] is True
    again = await coe("outsider", "team", "onboard", "returns", "--developer", "ines")
    assert "the code of the worker: coew_" in again.stdout, again.output
    assert "coe worker enrol returns" in again.stderr
    last = await coe("outsider", "team", "onboard", "returns")
    assert (last.exit_code, "coew_" in last.stdout) == (0, False), last.output
    await publish(served.platform, central("asks", APPROVAL))
    shown = await coe("coe-lead", "team", "offboard", "sales")
    assert "sales/asks" in shown.stdout, shown.output
    assert (await coe("coe-lead", "team", "offboard", "sales", "--retire-flows")).exit_code == 2
    refused = await coe("sales-owner", "team", "offboard", "sales", *WHY)
    assert (refused.exit_code, "not retired yet" in refused.stderr) == (8, True), refused.output
    assert (await coe("warehouse-developer", "team", "offboard", "sales", *WHY)).exit_code == 5
    gone = await coe("coe-lead", "team", "offboard", "sales", "--retire-flows", *WHY)
    assert "RETIRED" in gone.stdout, gone.output
    late = await coe("coe-lead", "team", "add", "sales", "ines", *WHY)
    assert (late.exit_code, "is retired" in late.stderr) == (8, True)
