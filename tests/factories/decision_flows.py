"""A decision table and a process that asks it, for the tests of runs and of the API."""

from __future__ import annotations

from coe.catalog.decision_tables.actions import register_decision
from coe.work import Platform
from tests.factories.lifecycle import publish_version
from tests.factories.people import FINANCE_DEVELOPER, FINANCE_LEAD
from tests.factories.runs import central

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
    """Register a table and publish it; gives its exact ref."""
    async with platform.work(FINANCE_DEVELOPER) as work:
        saved = await register_decision(work, manifest)
    ref = saved.version.ref
    await publish_version(platform, ref, author=FINANCE_DEVELOPER, reviewer=FINANCE_LEAD)
    return ref
