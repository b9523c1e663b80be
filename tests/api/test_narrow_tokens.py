"""Every mutation with a token that has the scope of the mutation alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from coe.access.permissions import Permission, readings_needed
from coe.api.schema import make_schema
from coe.demo.api import create_demo_app
from coe.embedded_postgres import EmbeddedPostgres
from tests.factories.api import Api, Persona, Refused
from tests.factories.api_documents import central
from tests.factories.api_story import publish_welcome, with_token
from tests.factories.decision_flows import level
from tests.factories.shared import shared_settings
from tests.factories.templates import files

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = make_schema()._schema
NOBODY = "01a204ad-a69e-70a2-985e-cb36c368b5b1"
REASON = "because"
VERSION = {"ref": "sales/welcome@1.0.0"}
RUN = {"run": NOBODY, "reason": REASON}
TASK = {"task": NOBODY}
SCHEDULE = {"flow": "sales/welcome", "reason": REASON}
PLAIN = {"team": "sales", "name": "shop", "scopes": ["event:send"], "expiresIn": "P1D"}

REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cancelRun": ("sales-owner", "run:cancel", RUN),
    "claimHumanTask": ("finance-lead", "human_task:claim", TASK),
    "completeHumanTask": (
        "finance-lead",
        "human_task:complete",
        TASK | {"outcome": "approved", "answer": {}},
    ),
    "delegateHumanTask": (
        "finance-lead",
        "human_task:delegate",
        TASK | {"to": "finance-approver", "comment": REASON},
    ),
    "deleteDraft": ("sales-owner", "flow:register", VERSION),
    "deprecate": ("coe-lead", "flow:deprecate", VERSION),
    "instantiateTemplate": (
        "sales-owner",
        "template:instantiate",
        {
            "template": "coe/greeting",
            "namespace": "sales",
            "name": "hello",
            "parameters": {},
            "processOwner": "sales-owner",
        },
    ),
    "pauseSchedule": ("sales-owner", "schedule:pause", SCHEDULE),
    "publish": ("coe-lead", "flow:publish", VERSION),
    "registerDecision": ("finance-lead", "decision:register", {"manifest": level()}),
    "registerFlow": ("sales-owner", "flow:register", {"manifest": central("2.0.0")}),
    "releaseHumanTask": ("finance-lead", "human_task:release", TASK),
    "resumeSchedule": ("sales-owner", "schedule:resume", SCHEDULE),
    "retire": ("coe-lead", "flow:retire", VERSION),
    "retryRun": ("sales-owner", "run:retry", RUN),
    "review": ("coe-lead", "flow:review", VERSION | {"approve": True, "comment": REASON}),
    "setAlias": (
        "coe-lead",
        "flow:alias",
        {"flow": "sales/welcome", "alias": "live", "version": "1.0.0"},
    ),
    "setEntryAlias": (
        "coe-lead",
        "flow:alias",
        {"entry": "sales/welcome", "alias": "live", "version": "1.0.0"},
    ),
    "startRun": ("sales-owner", "run:start", {"flow": "sales/welcome", "input": {"name": "Jane"}}),
    "submitForReview": ("sales-owner", "flow:submit", VERSION),
    "updateDraft": ("sales-owner", "flow:register", VERSION | {"changelog": "none"}),
}
"""Mutations that a reading belongs to: the subject, the scope and the input."""
REFUSED_ARGUMENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "registerTemplate": ("coe-lead", "template:register", {"files": files()}),
}
DONE: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "createTeam": (
        "coe-lead",
        "team:create",
        {"slug": "returns", "name": "Returns", "contact": "returns@example.com"},
        "team { slug }",
    ),
    "addMember": (
        "coe-lead",
        "team:members",
        {"team": "returns", "subject": "new-one", "roles": ["developer"], "reason": REASON},
        "applied",
    ),
    "addTrustRule": (
        "sales-lead",
        "trust:add",
        {
            "team": "sales",
            "name": "ci",
            "issuer": "https://token.actions.githubusercontent.com",
            "audience": "https://coe.example.com",
            "subject": "repo:acme/flows:ref:refs/heads/main",
            "scopes": ["entry:read"],
            "expiresIn": "P1D",
        },
        "id",
    ),
    "changeMember": (
        "coe-lead",
        "team:members",
        {"team": "returns", "subject": "new-one", "roles": ["process-owner"], "reason": REASON},
        "applied",
    ),
    "createClient": ("sales-lead", "client:create", PLAIN, "id"),
    "issueToken": (
        "sales-owner",
        "token:issue",
        {"name": "x", "subject": "sales-owner", "scopes": ["token:issue"], "expiresIn": "PT1M"},
        "id",
    ),
    "onboardTeam": (
        "coe-lead",
        "team:create",
        {"team": "refunds", "name": "Refunds", "contact": "refunds@example.com", "reason": REASON},
        "team { slug }",
    ),
    "requestAccess": (
        "sales-developer",
        "team:request",
        {"team": "returns", "role": "developer", "reason": REASON},
        "request { id }",
    ),
    "revokeTokens": (
        "sales-owner",
        "token:revoke",
        {"subject": "sales-owner", "reason": REASON},
        "ids",
    ),
    "sendEvent": (
        "service:web-shop",
        "event:send",
        {
            "event": {
                "specversion": "1.0",
                "type": "com.acme.order.placed.v1",
                "source": "https://shop.example.com",
                "id": "1",
                "data": {},
            }
        },
        "duplicate",
    ),
}
"""Mutations that no reading belongs to: the subject, the scope, the input, and what is answered."""
DONE_ARGUMENTS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "suspendPerson": (
        "coe-lead",
        "person:suspend",
        {"subject": "sales-developer", "reason": REASON},
        "person { subject }",
    ),
    "activatePerson": (
        "coe-lead",
        "person:suspend",
        {"subject": "sales-developer", "reason": REASON},
        "person { subject }",
    ),
    "createEnrolmentCode": ("sales-lead", "worker:enrol", {"team": "sales"}, "code"),
    "offboardPerson": (
        "coe-lead",
        "person:leave",
        {"subject": "sales-developer", "reason": REASON},
        "person { subject }",
    ),
    "removeMember": (
        "coe-lead",
        "team:members",
        {"team": "returns", "subject": "new-one", "reason": REASON},
        "applied",
    ),
    "revokeSessions": (
        "sales-owner",
        "session:revoke",
        {"subject": "sales-owner", "reason": REASON},
        "ended",
    ),
}
BY_ID = {
    "acceptAuditLoss": "audit:verify",
    "approveMembershipChange": "team:approve",
    "claimRun": "run:report",
    "declineAccess": "team:members",
    "grantAccess": "team:members",
    "heartbeatRun": "run:report",
    "refuseMembershipChange": "team:approve",
    "releaseRun": "run:report",
    "removeTrustRule": "trust:remove",
    "reportRun": "run:report",
    "reportStep": "run:report",
    "retireTeam": "team:retire",
    "revokeClient": "client:revoke",
    "revokeSession": "session:revoke",
    "revokeToken": "token:revoke",
    "revokeWorker": "worker:revoke",
    "settleRefusedRow": "audit:verify",
    "setMembersSource": "team:source",
}
"""Mutations whose own permission finds what they name, and whose answer is what the verb gives."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(
    postgres: EmbeddedPostgres,
    template_database: str,
    content_folder: Path,
    keys_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Api]:
    folder = tmp_path_factory.mktemp("narrow")
    async with shared_settings(
        postgres, template_database, folder, content_folder, keys_folder
    ) as settings:
        app = create_demo_app(settings.model_copy(update={"loops": False}))
        async with app.router.lifespan_context(app):
            api = Api(app)
            await publish_welcome(api)
            yield api


async def call(asker: Persona, name: str, given: dict[str, Any], answer: str) -> dict[str, Any]:
    """A mutation, whose arguments are one input or several."""
    assert SCHEMA.mutation_type is not None
    arguments = SCHEMA.mutation_type.fields[name].args
    values = {"input": given} if "input" in arguments else given
    declared = ", ".join(f"${each}: {arguments[each].type}" for each in values)
    passed = ", ".join(f"{each}: ${each}" for each in values)
    query = f"mutation ({declared}) {{ {name}({passed}) {{ {answer} problems {{ message }} }} }}"
    found: dict[str, Any] = (await asker.ask(query, **values))[name]
    return found


async def test_the_walk_names_every_mutation() -> None:
    assert SCHEMA.mutation_type is not None
    walked = [*REFUSED, *REFUSED_ARGUMENTS, *DONE, *DONE_ARGUMENTS, *BY_ID]
    assert sorted(walked) == sorted(SCHEMA.mutation_type.fields)
    needing = {scope for _, scope, _ in (REFUSED | REFUSED_ARGUMENTS).values()}
    assert all(readings_needed(scope) for scope in needing)
    others = {scope for _, scope, *_ in (DONE | DONE_ARGUMENTS).values()} | set(BY_ID.values())
    assert not any(readings_needed(scope) for scope in others)
    nouns = ("decision", "flow", "human_task", "run", "schedule", "template")
    unread = {Permission.HUMAN_TASK_READ, Permission.RUN_READ, Permission.RUN_READ_DATA}
    for permission in set(Permission) - unread - {Permission.RUN_REPORT}:
        assert bool(readings_needed(permission)) == (permission.split(":")[0] in nouns)


@pytest.mark.parametrize("name", sorted(REFUSED | REFUSED_ARGUMENTS))
async def test_a_scope_without_the_reading_that_it_needs(door: Api, name: str) -> None:
    subject, scope, given = (REFUSED | REFUSED_ARGUMENTS)[name]
    needed = sorted(readings_needed(scope))
    for count in range(len(needed)):
        asker = await with_token(door, subject, scope, *needed[:count])
        with pytest.raises(Refused) as refused:
            await call(asker, name, given, "__typename")
        if count == 0 or name == "startRun":
            assert f"no scope for {needed[count]}" in refused.value.message
            assert refused.value.code == "FORBIDDEN"
    owner = door.persona("coe-lead")
    assert (await owner.ask("{ runs { totalCount } }"))["runs"]["totalCount"] == 0


@pytest.mark.parametrize("name", sorted(DONE | DONE_ARGUMENTS, key=[*DONE, *DONE_ARGUMENTS].index))
async def test_a_scope_that_needs_no_reading(door: Api, name: str) -> None:
    subject, scope, given, answer = (DONE | DONE_ARGUMENTS)[name]
    asker = await with_token(door, subject, scope)
    found = await call(asker, name, given, answer)
    assert found.pop("problems") == []
    [told] = found.values()
    assert told is not None


async def test_a_scope_with_the_reading_that_it_needs(door: Api) -> None:
    author = await with_token(door, "sales-owner", "flow:register", "entry:read")
    saved = await call(
        author, "registerFlow", {"manifest": central("3.0.0")}, "flow { id } version { ref }"
    )
    assert saved["version"] == {"ref": "sales/welcome@3.0.0"}
    starter = await with_token(door, "sales-owner", "run:start", "run:read", "entry:read")
    _, _, given = REFUSED["startRun"]
    started = await call(starter, "startRun", given, "run { id version { ref } }")
    assert started["run"]["version"] == {"ref": "sales/welcome@1.0.0"}
    canceller = await with_token(door, "sales-owner", "run:cancel", "run:read")
    ended = await call(
        canceller, "cancelRun", {"run": started["run"]["id"], "reason": REASON}, "run { id }"
    )
    assert ended["run"]["id"] == started["run"]["id"]
