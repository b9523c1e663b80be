"""A decision table and a process that asks it, for the tests of runs and of the API."""

from __future__ import annotations

from coe.access.actor import Actor
from coe.catalog import actions as catalog
from coe.catalog.decision_tables.actions import register_decision
from coe.work import Platform
from tests.runs.processes import central

LEAD = Actor.of("finance-lead")
DEVELOPER = Actor.of("finance-developer")
REF = "finance/credit-level"


def level(version: str = "1.0.0", *, limit: str = "1000.00", more: str = "") -> str:
    """A table that asks finance above a limit."""
    return f"""\
decision:
  namespace: finance
  name: credit-level
  version: {version}
  title: Credit level
  summary: Says who agrees to a credit.
  metadata: {{dataClass: INTERNAL, tags: [credit], processOwner: finance-lead}}
hitPolicy: first
inputs:
  - {{name: amount, type: number, minimum: 0}}
  - {{name: customer, type: string, optional: true}}
outputs:
  - {{name: level, type: string, enum: [none, finance]}}
rules:
  - {{id: small, when: {{amount: "<= {limit}"}}, then: {{level: none}}}}
  - {{id: large, then: {{level: finance}}}}
{more}"""


ASKING = central(
    "credit",
    f"""  - decide:
      call: decision:1@default
      with:
        ref: {REF}@^1
        input: '${{ {{amount: .amount, customer: .customer}} }}'
""",
)


async def publish_table(platform: Platform, manifest: str) -> str:
    """Bring a table from its document to published; gives its exact ref."""
    async with platform.work(DEVELOPER) as work:
        saved = await register_decision(work, manifest)
    ref = saved.version.ref
    async with platform.work(DEVELOPER) as work:
        await catalog.submit_for_review(work, ref)
    async with platform.work(LEAD) as work:
        await catalog.review(work, ref, approve=True, comment="as the board decided")
        await catalog.publish(work, ref)
    return ref
