"""A verb for each permission, and actors who have each relation to what it is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Self
from uuid import UUID

from coe.access.actor import Actor
from coe.access.decision import Decision
from coe.access.machine_models import TrustRule
from coe.access.machines import machine_actor
from coe.access.models import AccessToken, Person
from coe.access.permissions import Permission
from coe.audit.readings import Readings
from coe.catalog import actions as catalog
from coe.catalog.decision_tables.actions import check_decision, register_decision
from coe.catalog.queries import find_version
from coe.errors import Conflict, Forbidden, Invalid, NotFound, StepUpRequired
from coe.governance import access, audit_log, tokens
from coe.governance.losses import accept_loss
from coe.governance.refused_rows import settle_refused
from coe.governance.tokens import TokenRequest
from coe.human_tasks import actions as human_tasks
from coe.human_tasks.queries import task as read_task
from coe.identity import registrations, workers
from coe.identity.scim import users
from coe.identity.signin import actions as signin
from coe.identity.team_lifecycle import offboarding
from coe.identity.teams import actions as teams
from coe.identity.teams import people, proposals, requests
from coe.identity.teams.models import MembershipProposal
from coe.runs import actions as runs
from coe.runs import disclosure, local_runs
from coe.runs.queries import run as read_run
from coe.schedules import actions as schedules
from coe.templates import actions as templates
from coe.work import Platform, Read, RequestInfo, Work
from tests.factories.catalog import central
from tests.factories.decision_flows import level
from tests.factories.human_tasks import open_waiting
from tests.factories.machines import actor_of, enrolled
from tests.factories.people import (
    AUDITOR,
    COE_LEAD,
    COE_REVIEWER,
    FINANCE_APPROVER,
    FINANCE_DEVELOPER,
    FINANCE_LEAD,
    OUTSIDER,
    SALES_DEVELOPER,
    SALES_OWNER,
    WAREHOUSE_DEVELOPER,
)
from tests.factories.runs import Leaves, local, publish, runtime
from tests.factories.templates import asked, files
from tests.factories.templates import register as save_template
from tests.factories.tokens import new_token

REASON = "because"
DAY = timedelta(days=1)


class Passed(Exception):  # no error: the check of the verb was passed
    """The verb has asked its permission and got it: it is stopped before it changes anything."""


@dataclass
class World:
    """One of each kind of thing, and actors who have one relation each."""

    platform: Platform
    run: UUID
    task: UUID
    picked: UUID
    token: AccessToken
    worker: UUID
    client: UUID
    rule: UUID
    proposal: UUID
    actors: dict[str, Actor]


Verb = Callable[[Work, World], Awaitable[Any]]
FLOW, TABLE, TEMPLATE = "sales/asks@1.0.0", "finance/credit-level@1.0.0", "coe/greeting@1.0.0"
LEAVER = Actor.of("left-long-ago")


def _lifecycle(noun: str, ref: str) -> dict[Permission, tuple[str, Verb]]:
    entry = ref.partition("@")[0]
    found: dict[str, Verb] = {
        "submit": lambda work, _: catalog.submit_for_review(work, ref),
        "review": lambda work, _: catalog.review(work, ref, approve=True, comment=REASON),
        "publish": lambda work, _: catalog.publish(work, ref),
        "deprecate": lambda work, _: catalog.deprecate(work, ref),
        "retire": lambda work, _: catalog.retire(work, ref),
        "alias": lambda work, _: catalog.set_alias(work, entry, "live", "1.0.0"),
    }
    return {
        Permission(f"{noun}:{verb}"): (f"{noun}:{ref}", act)
        for verb, act in found.items()
        if f"{noun}:{verb}" in set(Permission)
    }


def _member(work: Work, _: World) -> Awaitable[Any]:
    return teams.remove_member(work, "sales", "sales-developer", reason=REASON)


async def _reads(work: Work, ref: str) -> bool:
    return await find_version(work, ref) is not None


async def _has_data(work: Work, world: World) -> bool:
    return bool(await disclosure.read_run_data(work, [world.run]))


async def _somebody(work: Work, _: World) -> bool:
    page = await people.list_people(work)
    return any(each.subject != work.actor.subject for each in page.items)


async def _detail(work: Work, _: World) -> bool:
    events = [SimpleNamespace(team="coe")]
    return bool([each for each in events if _opens(work, each.team)])


def _opens(work: Work, team: str) -> bool:
    return work.decide(Permission.AUDIT_READ_DETAIL, team=team).allowed


def _token(work: Work, _: World) -> Awaitable[Any]:
    request = TokenRequest("x", "sales-developer", ("*",), REASON)  # type: ignore[arg-type]  # it is refused before that counts
    return tokens.issue_token(work, request)


SALES: Any = SimpleNamespace(team="sales")
CASES: dict[Permission, tuple[str, Verb]] = {
    **_lifecycle("flow", FLOW),
    **_lifecycle("decision", TABLE),
    **_lifecycle("template", TEMPLATE),
    Permission.ACCESS_EXPLAIN: (
        "person:sales-developer",
        lambda work, _: access.explain_access(
            work, "sales-developer", "token:issue", "person:sales-developer"
        ),
    ),
    Permission.ACCESS_REVIEW: ("team:sales", lambda work, _: access.review_access(work, "sales")),
    Permission.AUDIT_ACCEPT_LOSS: (
        "audit:log",
        lambda work, _: accept_loss(work, 0, confirmation="", reason=""),
    ),
    Permission.AUDIT_READ: ("audit:log", lambda work, _: audit_log.read_log(work)),
    Permission.AUDIT_READ_DETAIL: ("audit:log", _detail),
    Permission.AUDIT_SETTLE: (
        "audit:log",
        lambda work, _: settle_refused(work, UUID(int=1), reason=""),
    ),
    Permission.AUDIT_VERIFY: ("audit:log", lambda work, _: audit_log.request_verification(work)),
    Permission.CLIENT_CREATE: (
        "team:sales",
        lambda work, _: registrations.create_client(work, SALES),
    ),
    Permission.CLIENT_READ: (
        "team:sales",
        lambda work, _: registrations.list_clients(work, "sales"),
    ),
    Permission.CLIENT_REVOKE: (
        "client:{client}",
        lambda work, world: registrations.revoke_client(work, world.client, REASON),
    ),
    Permission.DECISION_CHECK: ("team:sales", lambda work, _: check_decision(work, "x")),
    Permission.DECISION_REGISTER: (
        f"decision:{TABLE}",
        lambda work, _: register_decision(work, level()),
    ),
    Permission.ENTRY_READ: (f"flow:{FLOW}", lambda work, _: _reads(work, FLOW)),
    Permission.EVENT_SEND: ("team:sales", lambda work, _: _sends(work, "sales")),
    Permission.FLOW_CHECK: ("team:sales", lambda work, _: catalog.check_flow(work, "x")),
    Permission.FLOW_REGISTER: (
        "flow:sales/asks",
        lambda work, _: catalog.register_flow(work, central("asks", version="2.0.0")),
    ),
    Permission.HUMAN_TASK_CLAIM: (
        "human_task:{task}",
        lambda work, world: human_tasks.claim_task(work, world.task),
    ),
    Permission.HUMAN_TASK_COMPLETE: (
        "human_task:{task}",
        lambda work, world: human_tasks.complete_task(
            work, world.task, outcome="approved", answer={}
        ),
    ),
    Permission.HUMAN_TASK_DELEGATE: (
        "human_task:{task}",
        lambda work, world: human_tasks.delegate_task(
            work, world.task, to="finance-lead", comment=REASON
        ),
    ),
    Permission.HUMAN_TASK_READ: (
        "human_task:{task}",
        lambda work, world: read_task(work, world.task),
    ),
    Permission.HUMAN_TASK_RELEASE: (
        "human_task:{task}",
        lambda work, world: human_tasks.release_task(work, world.task),
    ),
    Permission.PERSON_LEAVE: (
        "person:sales-developer",
        lambda work, _: people.offboard_person(work, "sales-developer", reason=REASON),
    ),
    Permission.PERSON_READ: ("person:sales-developer", _somebody),
    Permission.PERSON_SUSPEND: (
        "person:sales-developer",
        lambda work, _: people.suspend_person(work, "sales-developer", reason=REASON),
    ),
    Permission.RUN_CANCEL: (
        "run:{run}",
        lambda work, world: runs.cancel_run(work, world.run, reason=REASON),
    ),
    Permission.RUN_READ: ("run:{run}", lambda work, world: read_run(work, world.run)),
    Permission.RUN_READ_DATA: ("run:{run}", _has_data),
    Permission.RUN_REPORT: (
        "run:{picked}",
        lambda work, world: local_runs.heartbeat_run(work, world.picked, attempt=1),
    ),
    Permission.RUN_RETRY: (
        "run:{run}",
        lambda work, world: runs.retry_run(work, world.run, reason=REASON),
    ),
    Permission.RUN_START: (
        "flow:sales/asks",
        lambda work, _: runs.start_run(work, flow="sales/asks", input={}),
    ),
    Permission.SCHEDULE_PAUSE: (
        "flow:sales/asks",
        lambda work, _: schedules.pause_schedule(work, "sales/asks", reason=REASON),
    ),
    Permission.SCHEDULE_RESUME: (
        "flow:sales/asks",
        lambda work, _: schedules.resume_schedule(work, "sales/asks", reason=REASON),
    ),
    Permission.SCIM_PROVISION: ("team:coe", lambda work, _: _provisions(work)),
    Permission.SESSION_REVOKE: (
        "person:sales-developer",
        lambda work, _: signin.revoke_sessions(work, "sales-developer", REASON),
    ),
    Permission.TEAM_APPROVE: (
        "proposal:{proposal}",
        lambda work, world: proposals.approve(work, world.proposal),
    ),
    Permission.TEAM_CREATE: ("team:coe", lambda work, _: teams.create_team(work, SALES)),
    Permission.TEAM_MEMBERS: ("team:sales", _member),
    Permission.TEAM_REQUEST: (
        "team:sales",
        lambda work, _: requests.request_access(work, "sales", role=None, reason=REASON),
    ),
    Permission.TEAM_RETIRE: (
        "team:sales",
        lambda work, _: offboarding.retire_team(work, "sales", reason=REASON),
    ),
    Permission.TEAM_SOURCE: (
        "team:sales",
        lambda work, _: teams.set_members_source(work, "sales", SALES, reason=REASON),
    ),
    Permission.TEMPLATE_INSTANTIATE: (
        "team:sales",
        lambda work, _: templates.instantiate(work, asked(template=TEMPLATE)),
    ),
    Permission.TEMPLATE_REGISTER: (
        f"template:{TEMPLATE}",
        lambda work, _: templates.register_template(work, files()),
    ),
    Permission.TOKEN_ISSUE: ("person:sales-developer", _token),
    Permission.TOKEN_REVOKE: (
        "token:{token}",
        lambda work, world: tokens.revoke_token(work, world.token.id, REASON),
    ),
    Permission.TRUST_ADD: ("team:sales", lambda work, _: registrations.add_trust_rule(work, SALES)),
    Permission.TRUST_READ: (
        "team:sales",
        lambda work, _: registrations.list_trust_rules(work, "sales"),
    ),
    Permission.TRUST_REMOVE: (
        "trust:{rule}",
        lambda work, world: registrations.remove_trust_rule(work, world.rule, REASON),
    ),
    Permission.WORKER_CONNECT: ("team:warehouse", lambda work, _: _connects(work)),
    Permission.WORKER_ENROL: (
        "team:warehouse",
        lambda work, _: workers.create_enrolment_code(work, "warehouse"),
    ),
    Permission.WORKER_READ: (
        "team:warehouse",
        lambda work, _: workers.list_workers(work, "warehouse"),
    ),
    Permission.WORKER_REVOKE: (
        "worker:{worker}",
        lambda work, world: workers.revoke_worker(work, world.worker, REASON),
    ),
}
NO_VERB = {Permission.POLICY_CHANGE}
"""Permissions that no verb asks for."""


async def _sends(work: Work, team: str) -> bool:
    return work.scope(Permission.EVENT_SEND).allows(team)


async def _provisions(work: Work) -> bool:
    users.require(work)
    return True


async def _connects(work: Work) -> bool:
    work.require(Permission.WORKER_CONNECT, resource="team:warehouse", team="warehouse")
    return True


async def world_of(platform: Platform) -> World:
    async with runtime(platform, Leaves()) as opened:
        run, task = await open_waiting(opened)
    async with platform.work(FINANCE_APPROVER) as work:
        await human_tasks.claim_task(work, task)
    await save_template(platform, COE_LEAD)
    async with platform.work(FINANCE_DEVELOPER) as work:
        await register_decision(work, level())
    await publish(platform, local("pick"), "warehouse-developer")
    async with platform.work(WAREHOUSE_DEVELOPER) as work:
        picked = await runs.start_run(work, flow="warehouse/pick", input={"order": "1"})
    holder = await actor_of(platform, await enrolled(platform, "warehouse"))
    async with platform.work(holder) as work:
        await local_runs.claim_run(work, picked.id)
    lead = Actor.of("sales-lead")
    async with platform.work(lead) as work:
        request = registrations.ClientRequest("sales", "shop", ("run:start", "run:read"), DAY)
        _, client = await registrations.create_client(work, request)
    rule = TrustRule(
        team="sales",
        name="ci",
        issuer="https://ci.example.com",
        audience="coe",
        subject_pattern="repo:a",
        scopes=["flow:register"],
        created_by="sales-lead",
        created_at=platform.clock(),
        expires_at=platform.clock() + DAY,
        mac=b"",
    )
    proposal = MembershipProposal(
        team="sales",
        subject="sales-developer",
        display_name="Samir",
        roles=["developer", "lead"],
        roles_before=["developer"],
        origin="api",
        proposed_by="sales-lead",
        persons=["sales-lead"],
        reason_sealed=b"",
    )
    async with platform.database.session() as session:
        known = Person(subject="sales-developer", display_name="Samir", source="content")
        session.add_all([rule, proposal, known])
        await session.commit()
    _, token = await new_token(platform, "sales-owner")
    assert holder.credential is not None
    return World(
        platform=platform,
        run=run,
        task=task,
        picked=picked.id,
        token=token,
        worker=UUID(holder.credential.partition(":")[2]),
        client=client.id,
        rule=rule.id,
        proposal=proposal.id,
        actors=_actors(run, holder, machine_actor(client)),
    )


def _actors(run: UUID, holder: Actor, machine: Actor) -> dict[str, Actor]:
    """Actors by what they are to the things, and by their credentials."""
    owner, lead = SALES_OWNER, Actor.of("sales-lead")
    return {
        "process owner, requester and author": owner,
        "owner with scopes": replace(owner, scopes=frozenset({"run:*", "flow:publish"})),
        "owner with a token of another team": replace(owner, bound_to="finance"),
        "made by the requester": replace(Actor.of("service:web-shop"), maker="sales-owner"),
        "member": SALES_DEVELOPER,
        "lead, who proposed": lead,
        "candidate and claimant": FINANCE_APPROVER,
        "lead of another team": FINANCE_LEAD,
        "worker of the run": holder,
        "lead of the warehouse": Actor.of("warehouse-lead"),
        "another worker": Actor.of("service:worker/sales"),
        "machine": machine,
        "lead of the centre": COE_LEAD,
        "reviewer of the centre": COE_REVIEWER,
        "executor": Actor.of("service:central"),
        "directory": Actor.of("service:directory"),
        "auditor": AUDITOR,
        "leaver": LEAVER,
        "stranger": OUTSIDER,
        "run": Actor.of(f"run:{run}"),
    }


@dataclass
class Asked(Work):
    """Work that stops a verb as soon as it has its permission."""

    wanted: Permission | None = None

    @classmethod
    def of(cls, read: Read, wanted: Permission) -> Self:
        """The work of a reader who asks for a permission."""
        made = cls(
            read.platform,
            read.session,
            read.actor,
            read.policy,
            read.now,
            RequestInfo(),
            Readings(),
        )
        made.wanted = wanted
        return made

    def require(self, permission: Permission, **about: Any) -> Decision:
        decision = super().require(permission, **about)
        if permission is self.wanted:
            raise Passed
        return decision


async def verb_allows(work: Asked, verb: Verb, world: World) -> bool:
    """Whether the verb passes its check; a reader, whether it finds something."""
    try:
        found = await verb(work, world)
    except Passed:
        return True
    except (Forbidden, NotFound, StepUpRequired):
        return False
    except (Conflict, Invalid):
        return True  # what is wrong with the input comes after the check
    return bool(found)
