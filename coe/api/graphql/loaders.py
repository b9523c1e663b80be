"""The loaders: what resolvers read for many keys at once, in one statement each.

Each is a batch for `Context.load`. What may not be read is left out, so that its value is None.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from coe.api.graphql.context import BatchLoader, Context
from coe.catalog import first_pages, queries
from coe.catalog.decision_tables.documents import decision_contents
from coe.catalog.flows.contents import flow_contents
from coe.catalog.records import VersionRecord
from coe.catalog.versions.approvals import approval_states
from coe.catalog.versions.evidence import evidence_of, tests_of
from coe.governance import audit_log, teams
from coe.human_tasks import queries as human_tasks
from coe.paging import Page
from coe.review.queries import live_versions
from coe.runs import queries as runs
from coe.runs import worker_presence
from coe.runs.data_readers import readers_of_runs
from coe.runs.decisions.decision_cases import read_case_data
from coe.runs.disclosure import read_approval_data, read_run_data, read_task_data
from coe.runs.first_pages import first_runs
from coe.runs.interventions import interventions_of_runs
from coe.schedules.queries import schedules_of_flows
from coe.templates import queries as templates
from coe.work import Read, Work

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def batch(
    query: Callable[[Read, Sequence[K]], Awaitable[Mapping[K, V]]],
) -> BatchLoader[K, V | None]:
    """Make a loader of a query over many keys."""

    async def load(context: Context, keys: list[K]) -> list[V | None]:
        async with context.read() as read:
            found = await query(read, keys)
        return [found.get(key) for key in keys]

    return load


def recorded_batch(
    verb: Callable[[Work, Sequence[K]], Awaitable[Mapping[K, V]]],
) -> BatchLoader[K, V | None]:
    """Make a loader of a verb over many keys that records the reading."""

    async def load(context: Context, keys: list[K]) -> list[V | None]:
        async with context.work() as work:
            found = await verb(work, keys)
        return [found.get(key) for key in keys]

    return load


def first_page_batch(
    query: Callable[[Read, Sequence[K], int], Awaitable[Mapping[K, Page[V]]]],
) -> BatchLoader[tuple[K, int], Page[V]]:
    """Make a loader of first pages; its keys are pairs of the parent and `first`."""

    async def load(context: Context, keys: list[tuple[K, int]]) -> list[Page[V]]:
        found: dict[tuple[K, int], Page[V]] = {}
        async with context.read() as read:
            for size in {size for _, size in keys}:
                parents = [parent for parent, each in keys if each == size]
                pages = await query(read, parents, size)
                found |= {(parent, size): page for parent, page in pages.items()}
        return [found[key] for key in keys]

    return load


async def _live_versions(
    read: Read, versions: Sequence[VersionRecord]
) -> Mapping[VersionRecord, VersionRecord]:
    found = await live_versions(read, versions)
    return {version: found[version.id] for version in versions if version.id in found}


# ---------------------------------------------------------------- the catalog
entry_by_id = batch(queries.entries_by_id)
version_by_id = batch(queries.versions_by_id)
version_by_selector = batch(queries.resolve_versions)
first_versions = first_page_batch(first_pages.first_versions)
first_flows = first_page_batch(first_pages.first_flows)
aliases_of = batch(queries.aliases)
approvals_of = batch(queries.approvals)
notes_of = batch(queries.notes)
approval_state_of = batch(approval_states)
evidence_by_version = batch(evidence_of)
tests_by_version = batch(tests_of)
live_version_of = batch(_live_versions)
systems_of = batch(queries.systems_of)
called_flows_of = batch(queries.calls)
decision_tables_of = batch(queries.decision_tables_of)
callers_of = batch(queries.called_by)
flow_content = batch(flow_contents)
decision_content = batch(decision_contents)
template_content = batch(templates.template_contents)
template_usage = batch(templates.usage)
origin_of = batch(templates.origins)
origin_parameters_of = batch(templates.origin_parameters)
schedule_of = batch(schedules_of_flows)

# ---------------------------------------------------------------- runs and human tasks
run_by_id = batch(runs.runs_by_id)
children_of = batch(runs.children_of_runs)
child_of_step = batch(runs.children_by_step)
steps_of = batch(runs.steps_of_runs)
flow_of_run_version = batch(runs.flows_of_versions)
version_of_run = batch(runs.versions_with_runs)
first_runs_of = first_page_batch(first_runs)
interventions_of = batch(interventions_of_runs)
wait_of_run = batch(worker_presence.waits_of_runs)
readers_of_run = batch(readers_of_runs)
run_data = recorded_batch(read_run_data)
case_data = recorded_batch(read_case_data)
task_by_id = batch(human_tasks.tasks_by_id)
task_of_step = batch(human_tasks.tasks_by_step)
task_extras = batch(human_tasks.task_extras)
task_data = recorded_batch(read_task_data)
approval_data = recorded_batch(read_approval_data)

# ---------------------------------------------------------------- teams and the audit log
team_by_slug = batch(teams.teams_by_slug)
team_by_id = batch(teams.teams_by_id)
members_of = batch(teams.members_by_team)
contact_of = batch(teams.contacts_by_team)
worker_of_team = batch(worker_presence.workers_of_teams)
event_by_id = recorded_batch(audit_log.events_by_id)
event_detail = recorded_batch(audit_log.read_details)
event_reason = recorded_batch(audit_log.read_reasons)
event_proof = batch(audit_log.proofs_by_position)
