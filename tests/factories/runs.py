"""Processes for the tests of runs: published flows, a runtime with counted leaves, an engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from coe.access.actor import Actor
from coe.catalog import actions as catalog
from coe.db import utcnow
from coe.engines.inline import InlineEngine, LocalFlow
from coe.errors import Invalid
from coe.execution.loops import Loops
from coe.execution.runtime import Runtime
from coe.json_types import JSON
from coe.language.expressions.evaluator import Expressions
from coe.machine.commands import RunLeaf
from coe.runs import actions, queries
from coe.runs.records import RunIdentity, RunRecord
from coe.runs.tables import RUNS, TASKS
from coe.work import Platform
from tests.factories.lifecycle import publish_version
from tests.factories.people import (
    SALES_OWNER,
)

CANARY = "Wilhelmina Zwicknagel"

Answer = Callable[[RunLeaf], Awaitable[JSON]]


@dataclass
class Leaves:
    """Stubbed leaves: what each step answers, and how often each key was carried out."""

    answers: Mapping[str, JSON | Answer] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)

    async def perform(self, leaf: RunLeaf) -> JSON:
        self.calls[leaf.name] += 1
        self.keys[leaf.key] += 1
        answer = self.answers.get(leaf.name)
        if callable(answer):
            return await answer(leaf)
        return answer


def identity(run_id: UUID) -> RunIdentity:
    """What a lease says of a run, where only its id matters."""
    return RunIdentity(
        id=run_id,
        flow="sales/simple",
        version="1.0.0",
        version_id=run_id,
        local=False,
        team="sales",
        data_class="internal",
        correlation_id="",
        parent_id=None,
        parent_key=None,
        requester="",
        requester_persons=(),
        code=None,
        trace_id=None,
    )


def central(name: str, do: str, *, namespace: str = "sales", version: str = "1.0.0") -> str:
    """A definition with these tasks (YAML, indented by two)."""
    return f"""
document:
  dsl: 1.0.3
  namespace: {namespace}
  name: {name}
  version: {version}
  title: {name.capitalize()}
  summary: A process of the tests.
  metadata:
    processOwner: sales-owner
    dataClass: PERSONAL
input:
  schema:
    document:
      type: object
      required: [customer]
      properties:
        customer: {{type: string}}
        amount: {{type: number}}
do:
{do}
"""


def local(name: str, *, namespace: str = "warehouse", timeout: str = "PT1H") -> str:
    """The manifest of a local flow."""
    return f"""
kind: localFlow
namespace: {namespace}
name: {name}
version: 1.0.0
title: {name.capitalize()}
summary: A local flow of the tests.
processOwner: warehouse-developer
dataClass: INTERNAL
timeout: {timeout}
entrypoint: flows/teams/{namespace}/{name.replace("-", "_")}.py:{name.replace("-", "_")}
input:
  schema:
    document: {{type: object, required: [order]}}
output:
  schema:
    document: {{type: object, required: [parcel]}}
"""


HTTP = """  - {name}:
      call: http
      with:
        method: post
        endpoint: https://erp.example.com/{name}
        body: ${{ . }}
      timeout: {{after: PT1H}}
"""

APPROVAL = """  - approve:
      call: humanTask:1@default
      with:
        title: '${ "Approve the order of " + .customer }'
        instructions: Look at the amount.
        context: '${ {customer: .customer} }'
        candidates: {roles: [finance/finance-approver]}
        exclude: [requester]
        form:
          type: object
          required: [limit]
          properties: {limit: {type: number}}
        outcomes: [approved, rejected]
"""


async def publish(platform: Platform, manifest: str, author: str = "sales-owner") -> str:
    """Register a flow and publish it, so that its alias is `live`; gives its exact ref."""
    try:
        async with platform.work(Actor.of(author)) as work:
            saved = await catalog.register_flow(work, manifest)
    except Invalid as refused:
        pytest.fail("\n".join(str(problem) for problem in refused.problems))
    ref = saved.version.ref
    await publish_version(platform, ref, author=Actor.of(author))
    return ref


async def start(platform: Platform, flow: str, value: JSON = None, **more: str) -> RunRecord:
    """Start a run as the sales owner."""
    async with platform.work(SALES_OWNER) as work:
        given = {"customer": CANARY} if value is None else value
        return await actions.start_run(work, flow=flow, input=given, **more)


@asynccontextmanager
async def runtime(platform: Platform, leaves: Leaves) -> AsyncIterator[Runtime]:
    """A started runtime with these leaves."""
    async with Expressions(workers=1) as expressions:
        opened = Runtime(platform, perform=leaves.perform, evaluate=expressions.evaluate)
        await opened.start()
        try:
            yield opened
        finally:
            await opened.close()


@asynccontextmanager
async def engine(
    platform: Platform,
    leaves: Leaves | None = None,
    local_flows: Mapping[str, LocalFlow] | None = None,
) -> AsyncIterator[InlineEngine]:
    """The in-process engine with its loops running."""
    async with runtime(platform, leaves or Leaves()) as running:
        inline = InlineEngine(running, local_flows)
        loops = Loops(platform, inline)
        await loops.start()
        try:
            yield inline
        finally:
            await loops.close()
            await inline.close()


async def read_run(platform: Platform, run_id: UUID) -> RunRecord:
    """The run as it stands."""
    async with platform.read(Actor.of("coe-lead")) as read:
        run = await queries.run(read, run_id)
    assert run is not None
    return run


async def until(platform: Platform, run_id: UUID, *states: str, seconds: float = 20) -> RunRecord:
    """Wait until the run is in one of the states."""
    async with asyncio.timeout(seconds):
        while True:
            run = await read_run(platform, run_id)
            if run.state in states:
                return run
            await asyncio.sleep(0.03)


async def open_task(platform: Platform, run_id: UUID, *, seconds: float = 20) -> UUID:
    """Wait until the run has an open task, and give its id."""
    async with asyncio.timeout(seconds):
        while True:
            async with platform.database.session() as session:
                found: UUID | None = await session.scalar(
                    select(TASKS.c.id).where(TASKS.c.run_id == run_id, TASKS.c.state == "OPEN")
                )
            if found is not None:
                return found
            await asyncio.sleep(0.03)


async def lapse(platform: Platform) -> None:
    """Let every lease run out, as if its holder had died a while ago."""
    past = utcnow() - timedelta(seconds=1)
    async with platform.database.session() as session:
        await session.execute(
            update(RUNS).where(RUNS.c.holder.is_not(None)).values(lease_until=past)
        )
        await session.commit()


async def column(platform: Platform, run_id: UUID, name: str) -> Any:
    """A column of the run's row."""
    async with platform.database.session() as session:
        return await session.scalar(select(RUNS.c[name]).where(RUNS.c.id == run_id))
