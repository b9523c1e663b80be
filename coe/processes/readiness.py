"""How the parts are that processes need: a problem makes a process unready, a warning does not.

Whoever needs a part calls it a problem that it is away; who does without for a while, a warning.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from coe.audit.watch import SealingWatch
from coe.db import why_unreachable
from coe.execution.engine import EngineHealth
from coe.installation.status import Check, Health, schema_check, schema_state
from coe.json_types import JSON
from coe.work import Platform

WATCH: Final = "docs/operations.md#what-to-watch"


async def database_checks(platform: Platform, *, policy: bool = True) -> list[Check]:
    """Whether the database answers, has the tables of this version, and a policy in force."""
    try:
        async with platform.database.session() as session:
            state = await schema_state(session)
            if policy:
                await platform.policies.current(session, now=platform.clock())
    except (SQLAlchemyError, OSError) as error:
        detail = f"does not answer ({why_unreachable(error)})"
        return [Check("database", Health.PROBLEM, detail, "is the server up? coe status")]
    checks = [
        Check("database", Health.OK, "answers"),
        await asyncio.to_thread(schema_check, state),
    ]
    return [*checks, policy_check(platform)] if policy else checks


def policy_check(platform: Platform) -> Check:
    """Whether a policy is in force; the last good one stays so when the database has a bad one."""
    problem, in_force = platform.policies.problem, platform.policies.in_force
    if not in_force:
        detail = problem or "the database has no policy"
        return Check("policy", Health.PROBLEM, detail, "coe content load")
    if problem is not None:
        return Check("policy", Health.WARNING, problem, WATCH)
    return Check("policy", Health.OK, "in force")


def keys_check(*, compared: bool) -> Check:
    """Whether the keys are those of the database."""
    if compared:
        return Check("keys", Health.OK, "those of the database")
    return Check("keys", Health.PROBLEM, "not compared with the database yet", "coe key list")


def engine_check(health: EngineHealth, *, needed: bool) -> Check:
    """Whether the engine answers: for whom needs it, that it does not is a problem."""
    if health.ready:
        return Check("engine", Health.OK, health.detail)
    away = Check("engine", Health.WARNING, health.detail, "is COE_PREFECT_URL right, and it up?")
    return replace(away, health=Health.PROBLEM) if needed else away


def sealing_check(watch: SealingWatch, *, own: bool) -> Check:
    """Whether events of the audit log are sealed in time; `own` if this process has to do it."""
    state = watch.state
    if state is None:
        return Check("sealing", Health.WARNING, "not looked at yet")
    data: dict[str, JSON] = {"waiting": state.waiting, "oldestSeconds": round(state.seconds, 1)}
    detail = f"{state.waiting} events wait, the oldest for {state.seconds:.0f} s"
    if state.seconds > watch.late_seconds:
        data["blockedBy"] = str(watch.blocker) if watch.blocker else None
        health = Health.PROBLEM if own else Health.WARNING
        return Check("sealing", health, f"{detail}: does a sealer run?", WATCH, data)
    return Check("sealing", Health.OK, detail, data=data)
