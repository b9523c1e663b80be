"""What a verb asks the policy about a thing that a resource name of the audit log means.

An explanation asks the same: it takes the relations from the functions from which the verb takes
them, for the subject in place of the asker.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import FromClause, or_, select
from sqlmodel import SQLModel, col

from coe.access.actor import Actor, DataClass
from coe.access.decision import Decision
from coe.access.machines import (
    CLIENT,
    TRUST,
    WORKER,
    MachineRow,
    credential_of,
    find_credential,
    machine_actor,
    subject_of,
)
from coe.access.models import AccessToken, Person, Team
from coe.access.permissions import Permission
from coe.access.tokens import token_actor
from coe.catalog import queries as catalog
from coe.catalog.models import EntryKind
from coe.catalog.scope import Readers, entry_readers, relations_to, version_readers
from coe.catalog.tables import ENTRIES, VERSIONS
from coe.catalog.versions.saving import REGISTER
from coe.errors import Invalid, NotFound, Problem
from coe.formats import uuids
from coe.governance.subjects import (
    answering_team,
    proposal_relations,
    relations_to_subject,
    team_of_subject,
)
from coe.identifiers import PLATFORM_TEAM
from coe.runs.row_codes import RUN_CODES
from coe.runs.tables import RUNS, TASKS
from coe.runs.visibility import (
    held,
    owned,
    readable_runs,
    readable_tasks,
    relation_columns,
    run_readers,
    run_relations,
    task_readers,
    task_relations,
)
from coe.work import Read

_ENTRIES: Final = {
    "decision": EntryKind.DECISION,
    "flow": EntryKind.FLOW,
    "system": EntryKind.SYSTEM,
    "template": EntryKind.TEMPLATE,
}
_CREDENTIALS: Final = {
    CLIENT: Permission.CLIENT_READ,
    TRUST: Permission.TRUST_READ,
    WORKER: Permission.WORKER_READ,
}
_FORMS: Final = (
    "a resource is flow:…, template:…, decision:…, system:… with a ref, run:…, human_task:…, "
    "token:…, client:…, trust:…, worker:… or proposal:… with a UUID, person:… with a subject, "
    "team:… with a slug, or audit:log"
)
_SOMEWHERE: Final = frozenset({Permission.DECISION_CHECK, Permission.FLOW_CHECK})
"""What one may in all teams who may in any (`Work.require_somewhere`)."""
PERMISSIONS_OF: Final[Mapping[str, frozenset[Permission]]] = {
    "audit": frozenset(each for each in Permission if each.startswith("audit:")),
    CLIENT: frozenset({Permission.CLIENT_REVOKE}),
    "decision": frozenset({Permission.ENTRY_READ})
    | {each for each in Permission if each.startswith("decision:")} - _SOMEWHERE,
    "flow": frozenset(
        {
            Permission.ENTRY_READ,
            Permission.RUN_START,
            Permission.SCHEDULE_PAUSE,
            Permission.SCHEDULE_RESUME,
            Permission.TEMPLATE_INSTANTIATE,
        }
    )
    | {each for each in Permission if each.startswith("flow:")} - _SOMEWHERE,
    "human_task": frozenset(each for each in Permission if each.startswith("human_task:")),
    "person": frozenset(
        {Permission.ACCESS_EXPLAIN, Permission.SESSION_REVOKE, Permission.TOKEN_ISSUE}
    )
    | {each for each in Permission if each.startswith("person:")},
    "proposal": frozenset({Permission.TEAM_APPROVE}),
    "run": frozenset(each for each in Permission if each.startswith("run:"))
    - {Permission.RUN_START},
    "system": frozenset({Permission.ENTRY_READ, Permission.FLOW_REGISTER}),
    "team": frozenset(Permission),
    "template": frozenset({Permission.ENTRY_READ})
    | {each for each in Permission if each.startswith("template:")}
    - {Permission.TEMPLATE_INSTANTIATE},
    "token": frozenset({Permission.TOKEN_REVOKE}),
    TRUST: frozenset({Permission.TRUST_REMOVE}),
    WORKER: frozenset({Permission.WORKER_REVOKE}),
}
"""The permissions that verbs ask for on each kind of thing; on a team, what its roles give."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a verb asks the policy.

    With `any_of` the verb is a reader: each relation is enough by itself, and no fresh sign-in is
    asked for.
    """

    permission: Permission
    team: str
    data_class: DataClass = DataClass.INTERNAL
    relations: frozenset[str] = frozenset()
    any_of: bool = False

    def decide(self, read: Read) -> tuple[Decision, frozenset[str]]:
        """The decision for the actor, and the relations that counted."""
        choices = [self.relations]
        if self.any_of:
            choices = [frozenset(), *(frozenset({each}) for each in sorted(self.relations))]
        decided = [
            read.decide(
                self.permission, team=self.team, data_class=self.data_class, relations=choice
            )
            for choice in choices
        ]
        found = zip(decided, choices, strict=True)
        return next(((one, of) for one, of in found if one.allowed), (decided[0], choices[0]))


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing that the asker may read: its team, and what a verb asks; each must be allowed."""

    name: str
    team: str
    questions: tuple[Question, ...]


async def find_thing(read: Read, name: str, theirs: Read, permission: Permission) -> Thing:
    """Find the thing that a name such as `flow:sales/order-to-cash` or `run:<uuid>` stands for.

    Args:
        read: The asker, who must be able to read the thing.
        name: The name as it stands in the log.
        theirs: The same for the subject whose access is explained.
        permission: What the subject would do.

    Raises:
        NotFound: The thing does not exist, or the asker may not read it.
        Invalid: The name is not a resource name, or no verb asks for the permission on it.
    """
    kind, _, key = name.partition(":")
    if kind not in PERMISSIONS_OF or not key:
        raise Invalid([Problem("INPUT_RESOURCE", _FORMS, path="/resource")])
    if permission not in PERMISSIONS_OF[kind]:
        wanted = " or ".join(f"{each}:…" for each, of in PERMISSIONS_OF.items() if permission in of)
        message = f"{permission} is not asked of {kind}:…, but of {wanted}"
        raise Invalid([Problem("INPUT_RESOURCE", message, path="/resource")])
    return await _FINDERS[kind](read, name, theirs, permission)


def team_of_log(read: Read, permission: Permission) -> str:
    """The team in which the actor may use the log: the platform's, else one of the actor's."""
    if permission is Permission.AUDIT_READ_DETAIL:
        return PLATFORM_TEAM
    teams = [PLATFORM_TEAM, *sorted(read.policy.teams(read.actor.subject))]
    return next(
        (team for team in teams if read.decide(permission, team=team).allowed), PLATFORM_TEAM
    )


async def may_see_token(read: Read, token: AccessToken) -> bool:
    """Whether the actor may know of a token: it is its own, or it may revoke it."""
    question = _revoking(read, token)
    return token.subject == read.actor.subject or question.decide(read)[0].allowed


async def find_credential_of(
    read: Read, subject: str, name: str
) -> tuple[Actor, str | None] | None:
    """The actor of a subject's credential, and why the credential is refused if it is.

    None if the subject has no such credential, or the asker may not know of it.
    """
    row: AccessToken | MachineRow | None
    if name.startswith("token:"):
        row = await read.session.get(AccessToken, _uuid(name))
        if row is None or row.subject != subject or not await may_see_token(read, row):
            return None
        actor = token_actor(row)
    else:
        row = await find_credential(read.session, name)
        if row is None or subject_of(row) != subject or not _may_see_machine(read, row):
            return None
        actor = machine_actor(row)
    if row.revoked_at is not None:
        return actor, f"{name} was revoked."
    return actor, f"{name} expired." if row.expires_at <= read.now else None


def _uuid(name: str) -> UUID:
    try:
        return uuids.read(name.partition(":")[2])
    except ValueError:
        raise NotFound from None


async def _reading(
    read: Read, permission: Permission, table: FromClause, key: UUID, readers: Readers
) -> Question:
    """What a reader asks of one row of a table."""
    columns = [holds.label(relation.value) for relation, holds in readers.items()]
    found = await read.session.execute(
        select(table.c.team, table.c.data_class, *columns).where(table.c.id == key)
    )
    row = found.one()
    relations = frozenset(each.value for each in readers if getattr(row, each.value))
    return Question(permission, row.team, DataClass(row.data_class), relations, any_of=True)


async def _entry(read: Read, name: str, theirs: Read, permission: Permission) -> Thing:
    kind, _, ref = name.partition(":")
    entry = await catalog.find_entry(read, ref, _ENTRIES[kind])
    if entry is None:
        raise NotFound
    version = None
    if "@" in ref or permission is Permission.RUN_START:
        version = await catalog.find_version(read, ref, _ENTRIES[kind])
        if version is None and "@" in ref:
            raise NotFound
    team, data_class = entry.team, version.data_class if version else entry.data_class
    readers = [(ENTRIES, entry.id, entry_readers(theirs))]
    if version is not None:
        readers.append((VERSIONS, version.id, version_readers(theirs)))
    seen = [await _reading(theirs, Permission.ENTRY_READ, *each) for each in readers]
    no_version = {*REGISTER.values()} if version is None else set()
    match permission:
        case Permission.ENTRY_READ:
            questions = seen
        case Permission.RUN_START:
            questions = [*seen, Question(permission, team, data_class)]
        case Permission.SCHEDULE_PAUSE | Permission.SCHEDULE_RESUME:
            relations = relations_to(theirs, entry, None)
            questions = [seen[0], Question(permission, team, entry.data_class, relations)]
        case Permission.TEMPLATE_INSTANTIATE:
            questions = [Question(permission, team, data_class)]
        case _ if permission in no_version:
            questions = [Question(permission, team, data_class)]
        case _:
            relations = relations_to(theirs, entry, version)
            questions = [Question(permission, team, data_class, relations)]
    return Thing(name, team, tuple(questions))


async def _run(read: Read, name: str, theirs: Read, permission: Permission) -> Thing:
    key = _uuid(name)
    found = await read.session.execute(
        select(
            *(RUNS.c[name] for name in RUN_CODES.columns),
            RUNS.c.code,
            owned(theirs),
            held(theirs),
        ).where(RUNS.c.id == key, readable_runs(read)),
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound
    seen = await _reading(theirs, Permission.RUN_READ, RUNS, key, run_readers(theirs))
    asked = Question(permission, row.team, DataClass(row.data_class), run_relations(theirs, row))
    match permission:
        case Permission.RUN_READ:
            questions = [seen]
        case Permission.RUN_READ_DATA:
            readers = run_readers(theirs, permission)
            questions = [seen, await _reading(theirs, permission, RUNS, key, readers)]
        case Permission.RUN_REPORT:
            questions = [Question(permission, row.team, DataClass(row.data_class))]
        case _:
            questions = [seen, asked]
    return Thing(name, row.team, tuple(questions))


async def _task(read: Read, name: str, theirs: Read, permission: Permission) -> Thing:
    """A task; whoever may read its run, such as an auditor, may ask who may do what with it."""
    key = _uuid(name)
    runs = select(RUNS.c.id).where(readable_runs(read))
    found = await read.session.execute(
        select(TASKS, *relation_columns(theirs)).where(
            TASKS.c.id == key,
            or_(readable_tasks(read), TASKS.c.run_id.in_(runs)),
        ),
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound
    questions = [
        await _reading(theirs, Permission.HUMAN_TASK_READ, TASKS, key, task_readers(theirs))
    ]
    if permission is not Permission.HUMAN_TASK_READ:
        relations = task_relations(theirs, row)
        questions.append(Question(permission, row.team, DataClass(row.data_class), relations))
    return Thing(name, row.team, tuple(questions))


async def _token(read: Read, name: str, theirs: Read, permission: Permission) -> Thing:
    row = await read.session.get(AccessToken, _uuid(name))
    if row is None or not await may_see_token(read, row):
        raise NotFound
    team = row.team or team_of_subject(read.policy, row.subject)
    question = _revoking(theirs, row)
    assert question.permission is permission  # noqa: S101  # the only one of this kind
    return Thing(name, team, (question,))


def _revoking(read: Read, token: AccessToken) -> Question:
    permission = Permission.TOKEN_REVOKE
    team = answering_team(read, token.subject, token.team, permission)
    return Question(permission, team, relations=relations_to_subject(read, token.subject))


async def _person(read: Read, name: str, theirs: Read, permission: Permission) -> Thing:
    subject = name.partition(":")[2]
    await _require_known(read, subject)
    match permission:
        case Permission.PERSON_READ:
            return Thing(name, PLATFORM_TEAM, (Question(permission, PLATFORM_TEAM),))
        case Permission.SESSION_REVOKE | Permission.TOKEN_ISSUE:
            team = answering_team(theirs, subject, None, permission)
        case _:
            team = team_of_subject(read.policy, subject)
    relations = relations_to_subject(theirs, subject)
    of = team_of_subject(read.policy, subject)
    return Thing(name, of, (Question(permission, team, relations=relations),))


async def _require_known(read: Read, subject: str) -> None:
    """Refuse to tell of a person or a service that is in no team which the actor may read."""
    if subject == read.actor.subject:
        return
    scope = read.scope(Permission.ENTRY_READ)
    if any(scope.allows(team) for team in read.policy.teams(subject)):
        return
    if read.decide(Permission.PERSON_READ, team=PLATFORM_TEAM).allowed:
        known = select(col(Person.id)).where(col(Person.subject) == subject)
        if await read.session.scalar(known) is not None:
            return
    raise NotFound


async def _proposal(read: Read, name: str, theirs: Read, permission: Permission) -> Thing:
    proposals = SQLModel.metadata.tables["membership_proposals"]
    query = select(proposals).where(proposals.c.id == _uuid(name))
    row = (await read.session.execute(query)).one_or_none()
    if row is None:
        raise NotFound
    own = read.actor.subject in {row.proposed_by, row.subject}
    answers = (Permission.TEAM_APPROVE, Permission.TEAM_MEMBERS)
    if not own and not any(read.decide(each, team=row.team).allowed for each in answers):
        raise NotFound
    question = Question(permission, row.team, relations=proposal_relations(theirs.actor, row))
    return Thing(name, row.team, (question,))


async def _log(_: Read, name: str, theirs: Read, permission: Permission) -> Thing:
    question = Question(permission, team_of_log(theirs, permission))
    return Thing(name, PLATFORM_TEAM, (question,))


async def _credential(read: Read, name: str, _: Read, permission: Permission) -> Thing:
    row = await find_credential(read.session, name)
    if row is None or not _may_see_machine(read, row):
        raise NotFound
    return Thing(name, row.team, (Question(permission, row.team),))


def _may_see_machine(read: Read, row: MachineRow) -> bool:
    name = credential_of(row)
    permission = _CREDENTIALS[name.partition(":")[0]]
    return name == read.actor.credential or read.decide(permission, team=row.team).allowed


async def _team(read: Read, name: str, theirs: Read, permission: Permission) -> Thing:
    slug = name.partition(":")[2]
    known = read.scope(Permission.ENTRY_READ).allows(slug)
    if not known or await read.session.get(Team, slug) is None:
        raise NotFound
    question = Question(permission, slug)
    if permission in _SOMEWHERE:
        allowed = theirs.scope(permission)
        places = [*sorted(allowed.teams), slug]
        question = next(
            (
                Question(permission, team, each)
                for team in places
                for each in DataClass
                if allowed.allows(team, each)
            ),
            question,
        )
    return Thing(name, slug, (question,))


_Finder = Callable[[Read, str, Read, Permission], Awaitable[Thing]]
_FINDERS: Final[Mapping[str, _Finder]] = {
    "audit": _log,
    CLIENT: _credential,
    "human_task": _task,
    "person": _person,
    "proposal": _proposal,
    "run": _run,
    "team": _team,
    "token": _token,
    TRUST: _credential,
    WORKER: _credential,
    **dict.fromkeys(_ENTRIES, _entry),
}
