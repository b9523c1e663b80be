"""The demo's story: order to cash across four teams, over HTTP, each step as a persona.

Each step first checks whether it is done already, so that an interrupted story resumes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coe.demo import story_queries as queries
from coe.errors import CoeError, Forbidden, Unavailable
from coe.sdk import Client

FLOW: Final = "sales/order-to-cash"
TEMPLATE: Final = "coe/order-to-cash"
ORDERS: Final = Path(__file__).parent / "orders"
TEMPLATE_PARAMETERS: Final = {
    "creditLimit": "10000.00",
    "secondApprover": False,
    "carrier": "northwind",
}
LOCAL_FLOWS: Final = {
    "finance/credit-check": ("finance-developer", "finance/credit_check.yaml"),
    "fulfilment/ship-order": ("fulfilment-developer", "fulfilment/ship_order.yaml"),
    "sales/confirm-order": ("sales-developer", "sales/confirm_order.yaml"),
    "warehouse/pick-and-pack": ("warehouse-developer", "warehouse/pick_and_pack.yaml"),
}
END_STATES: Final = frozenset({"COMPLETED", "FAULTED", "CANCELLED"})
RUN_PATIENCE: Final = 90.0
SEALED_WITHIN: Final = 1.5
"""The seconds after which the newest events are in the audit log's tree."""


@dataclass(frozen=True, slots=True)
class StoryCase:
    """One run of the story: the order document, and the decision of finance if there is one."""

    name: str
    title: str
    decision: str | None = None
    reason: str | None = None


STORY_CASES: Final = (
    StoryCase("low", "a low value needs no approval"),
    StoryCase("high", "above the limit, finance approves", "approved"),
    StoryCase("rejected", "above the limit, finance rejects", "rejected", "more than their credit"),
    StoryCase("erp-down", "the ERP is unavailable: retried, then compensated"),
)


@dataclass(slots=True)
class Story:
    """The story on one installation.

    Each telling has a number. It gives the flow a new version, from the same template with another
    title, and starts new runs; everything else is as the first telling left it.

    Args:
        url: The API's address.
        content: The folder that holds `flows/`.
        tokens: A bearer token for each person of the story.
        echo: Prints a line for people.
        number: The number of the telling, from 1.
    """

    url: str
    content: Path
    tokens: Mapping[str, str]
    echo: Callable[[str], object]
    number: int = 1

    async def run(self, *, patience: float) -> None:
        """Run the steps of the story that are not done yet.

        Args:
            patience: The seconds to wait for the engine.

        Raises:
            CoeError: A step failed.
        """
        await self._publish_templates()
        await self._register_local_flows()
        await self._search()
        await self._instantiate()
        await self._until_engine_is_up(patience)
        await asyncio.gather(*(self._run_case(case) for case in STORY_CASES))
        await self._audit()

    async def _ask(
        self,
        person: str,
        query: str,
        variables: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        async with Client(self.url, self.tokens[person]) as client:
            return await client.execute(query, dict(variables or {}))

    async def _do(self, person: str, mutation: str, **given: object) -> dict[str, Any]:
        """Execute a mutation whose payload must have no error.

        Raises:
            CoeError: It has one; the message is that of the first.
        """
        answer = await self._ask(person, mutation, {"input": given})
        payload: dict[str, Any] = next(iter(answer.values()))
        errors = [item for item in payload["problems"] if item["severity"] == "ERROR"]
        if errors:
            raise CoeError(f"{errors[0]['message']} ({errors[0]['path']})", code="INVALID")
        return payload

    def _suffix(self, separator: str) -> str:
        """What tells the names of this telling from those of the first."""
        return "" if self.number == 1 else f"{separator}{self.number}"

    # ------------------------------------------------------------ the catalog

    async def _search(self) -> None:
        found = (await self._ask("sales-owner", queries.SEARCH, {"text": "order"}))["catalog"]
        refs = ", ".join(edge["node"]["ref"] for edge in found["edges"][:4])
        self.echo(f"sales-owner searches for “order”: {found['totalCount']} found ({refs} …)")

    async def _publish_templates(self) -> None:
        answer = await self._ask("coe-lead", queries.TEMPLATES)
        shipped = answer["catalog"]["nodes"]
        for entry in shipped:
            for version in entry["versions"]["nodes"]:
                await self._bring_live(version, "coe-lead", submitter=None)
        for kind, name in (("TEMPLATE", "templates"), ("DECISION", "decision tables")):
            refs = ", ".join(entry["ref"] for entry in shipped if entry["kind"] == kind)
            self.echo(f"coe-lead reviewed and published the {name}: {refs}")

    async def _register_local_flows(self) -> None:
        for author, file in LOCAL_FLOWS.values():
            manifest = (self.content / "flows" / "teams" / file).read_text()
            saved = await self._do(author, queries.REGISTER, manifest=manifest)
            await self._bring_live(saved["version"], "coe-lead", submitter=author)
        self.echo(f"four teams registered their local flows: {', '.join(LOCAL_FLOWS)}")

    async def _instantiate(self) -> None:
        target: dict[str, object] = {
            "template": TEMPLATE,
            "namespace": "sales",
            "name": "order-to-cash",
            "title": f"Order to cash{self._suffix(' ')}",
            "processOwner": "sales-owner",
        }
        wrong = {"input": target | {"parameters": TEMPLATE_PARAMETERS | {"carrier": "pigeon"}}}
        preview = await self._ask("sales-owner", queries.PREVIEW, wrong)
        problem = preview["previewTemplate"]["problems"][0]
        self.echo(f"a wrong parameter is reported: {problem['path']}: {problem['message']}")
        given = target | {"parameters": TEMPLATE_PARAMETERS}
        saved = await self._do("sales-owner", queries.INSTANTIATE, **given)
        await self._bring_live(saved["version"], "coe-lead", submitter="sales-owner")
        live = await self._ask("sales-owner", queries.FLOW_VERSIONS, {"ref": FLOW})
        aliases = live["flow"]["aliases"]
        self.echo(f"{FLOW} is published, signed, and live is {aliases['live']}")

    async def _bring_live(
        self,
        version: Mapping[str, Any],
        reviewer: str,
        *,
        submitter: str | None,
    ) -> None:
        """Submit, review and publish a version, as far as that is not done yet."""
        ref, lifecycle = version["ref"], version["lifecycle"]
        if lifecycle == "DRAFT" and submitter:
            await self._do(submitter, queries.SUBMIT, ref=ref)
            await self._own_review(submitter, ref)
            lifecycle = "IN_REVIEW"
        if lifecycle == "IN_REVIEW":
            comment = "Follows the standards"
            await self._do(reviewer, queries.REVIEW, ref=ref, approve=True, comment=comment)
            await self._do(reviewer, queries.PUBLISH, ref=ref, setLive=submitter is not None)

    async def _own_review(self, author: str, ref: str) -> None:
        """Check that authors cannot approve their own versions.

        Raises:
            CoeError: The author was not refused.
        """
        if not ref.startswith(FLOW):
            return
        try:
            await self._do(author, queries.REVIEW, ref=ref, approve=True, comment="Looks good")
        except Forbidden as error:
            self.echo(f"{author} may not approve her own {ref}: {error.extensions.get('rule')}")
            return
        raise CoeError(f"{author} could approve her own {ref}")

    # ------------------------------------------------------------ runs and people

    async def _until_engine_is_up(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            engine = (await self._ask("sales-owner", queries.ENGINE))["engine"]
            if engine["state"] == "UP":
                return
            if time.monotonic() > deadline:
                raise Unavailable(f"the engine did not come up: {engine['detail']}")
            await asyncio.sleep(0.5)

    async def _run_case(self, case: StoryCase) -> None:
        correlation = f"demo-{case.name}{self._suffix('-')}"
        wanted = {"flow": FLOW, "correlationId": correlation}
        known = (await self._ask("sales-owner", queries.BY_CORRELATION, wanted))["runs"]["nodes"]
        if known:
            run = known[0]
        else:
            order = json.loads((ORDERS / f"{case.name}.json").read_text())
            started = await self._do("sales-owner", queries.START, input=order, **wanted)
            run = started["run"]
        ended = await self._follow(case, run["id"])
        path = " → ".join(
            step["name"] + (f" (try {step['attempt']})" if step["attempt"] > 1 else "")
            for step in ended["steps"]
            if step["state"] != "SKIPPED"
        )
        outcome = (ended["output"] or {}).get("state", ended["error"])
        self.echo(f"run “{case.title}”: {ended['state']}, {outcome}\n    {path}")

    async def _follow(self, case: StoryCase, run_id: str) -> dict[str, Any]:
        """Wait for the end of a run, and answer its human tasks as finance.

        Raises:
            Unavailable: It did not end in time.
        """
        deadline = time.monotonic() + RUN_PATIENCE
        while time.monotonic() < deadline:
            seen = (await self._ask("sales-owner", queries.STATE, {"id": run_id}))["run"]
            if seen["state"] in END_STATES:
                data = await self._ask("sales-owner", queries.RUN, {"id": run_id})
                run: dict[str, Any] = data["run"]
                return run
            for task in (step["humanTask"] for step in seen["steps"]):
                if task and task["state"] in {"OPEN", "CLAIMED"} and case.decision:
                    await self._decide(case, task["id"])
            await asyncio.sleep(0.3)
        raise Unavailable(f"the run “{case.title}” did not end within {RUN_PATIENCE:.0f} s")

    async def _decide(self, case: StoryCase, task_id: str) -> None:
        given = {
            "task": task_id,
            "outcome": case.decision,
            "answer": {"note": "Seen"},
            "reason": case.reason,
        }
        try:
            await self._do("sales-owner", queries.COMPLETE, **given)
        except Forbidden as error:
            rule = error.extensions.get("rule")
            self.echo(f"sales-owner may not decide on her own run: {rule}")
        await self._do("finance-approver", queries.CLAIM, task=task_id)
        await self._do("finance-approver", queries.COMPLETE, **given)

    # ------------------------------------------------------------ the log

    async def _audit(self) -> None:
        """Read the flow's events as the auditor, and verify the whole audit log.

        Raises:
            CoeError: The log does not verify.
        """
        await asyncio.sleep(SEALED_WITHIN)
        log = await self._ask("auditor", queries.AUDIT, {"flow": f"flow:{FLOW}"})
        refused = {f"{event['actor']} {event['action']}" for event in log["refused"]["nodes"]}
        readers = {event["actor"] for event in log["readers"]["nodes"]}
        verified = (await self._ask("auditor", queries.VERIFY))["verifyAudit"]
        verdict = "proven" if verified["ok"] else "BROKEN"
        self.echo(
            f"auditor: {log['all']['totalCount']} events on {FLOW}\n"
            f"    refused: {', '.join(sorted(refused))}\n"
            f"    read personal data: {', '.join(sorted(readers))}\n"
            f"    the log of {verified['treeSize']} events is {verdict}",
        )
        if not verified["ok"]:
            raise CoeError("the audit log does not verify")
