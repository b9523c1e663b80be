"""The demo's story: order to cash across four teams, over HTTP only, each step as its persona.

Every step looks first whether it is done, so that a story that was interrupted goes on.
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
from coe.errors import CoeError, Forbidden, NotFound, Unavailable
from coe.sdk import Client

FLOW: Final = "sales/order-to-cash"
TEMPLATE: Final = "coe/order-to-cash"
ORDERS: Final = Path(__file__).parent / "orders"
PARAMETERS: Final = {"creditLimit": "10000.00", "secondApprover": False, "carrier": "northwind"}
LOCAL_FLOWS: Final = {
    "finance/credit-check": ("finance-developer", "finance/credit_check.yaml"),
    "fulfilment/ship-order": ("fulfilment-developer", "fulfilment/ship_order.yaml"),
    "sales/confirm-order": ("sales-developer", "sales/confirm_order.yaml"),
    "warehouse/pick-and-pack": ("warehouse-developer", "warehouse/pick_and_pack.yaml"),
}
ENDED: Final = frozenset({"COMPLETED", "FAULTED", "CANCELLED"})
RUN_PATIENCE: Final = 90.0
SEALED_WITHIN: Final = 1.5
"""Seconds after which the newest events have their place in the log."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the story: the order document, and how finance decides if it is asked."""

    name: str
    title: str
    decision: str | None = None
    reason: str | None = None


CASES: Final = (
    Case("low", "a low value goes through"),
    Case("high", "above the limit, finance approves", "approved"),
    Case("rejected", "above the limit, finance rejects", "rejected", "more than their credit"),
    Case("erp-down", "the ERP stays away: tried again, then compensated"),
)


@dataclass(slots=True)
class Story:
    """The story on one installation.

    Args:
        url: The API's address.
        content: The folder that holds `flows/`.
        tokens: A bearer token for each person of the story.
        tell: Where its lines for a person go.
    """

    url: str
    content: Path
    tokens: Mapping[str, str]
    tell: Callable[[str], object]

    async def run(self, *, patience: float) -> None:
        """Tell the story from where it stands.

        Args:
            patience: Seconds to wait for the engine to come up.

        Raises:
            CoeError: A step did not do what the story says.
        """
        await self._publish_templates()
        await self._register_local_flows()
        await self._search()
        await self._instantiate()
        await self._until_engine_is_up(patience)
        await asyncio.gather(*(self._run_case(case) for case in CASES))
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
        """Send a mutation whose payload must hold no error.

        Raises:
            CoeError: It holds one; the message is the first.
        """
        answer = await self._ask(person, mutation, {"input": given})
        payload: dict[str, Any] = next(iter(answer.values()))
        errors = [item for item in payload["problems"] if item["severity"] == "ERROR"]
        if errors:
            raise CoeError(f"{errors[0]['message']} ({errors[0]['path']})", code="INVALID")
        return payload

    # ------------------------------------------------------------ the catalog

    async def _search(self) -> None:
        found = (await self._ask("sales-owner", queries.SEARCH, {"text": "order"}))["catalog"]
        refs = ", ".join(edge["node"]["ref"] for edge in found["edges"][:4])
        self.tell(f"sales-owner searches for “order”: {found['totalCount']} found ({refs} …)")

    async def _publish_templates(self) -> None:
        answer = await self._ask("coe-lead", queries.TEMPLATES)
        shipped = answer["catalog"]["nodes"]
        for entry in shipped:
            for version in entry["versions"]["nodes"]:
                await self._bring_live(version, "coe-lead", submitter=None)
        for kind, name in (("TEMPLATE", "templates"), ("DECISION", "decision tables")):
            refs = ", ".join(entry["ref"] for entry in shipped if entry["kind"] == kind)
            self.tell(f"coe-lead reviewed and published the {name}: {refs}")

    async def _register_local_flows(self) -> None:
        for author, file in LOCAL_FLOWS.values():
            manifest = (self.content / "flows" / "teams" / file).read_text()
            saved = await self._do(author, queries.REGISTER, manifest=manifest)
            await self._bring_live(saved["version"], "coe-lead", submitter=author)
        self.tell(f"four teams registered their local flows: {', '.join(LOCAL_FLOWS)}")

    async def _instantiate(self) -> None:
        asked: dict[str, object] = {
            "template": TEMPLATE,
            "namespace": "sales",
            "name": "order-to-cash",
            "title": "Order to cash",
            "processOwner": "sales-owner",
        }
        wrong = {"input": asked | {"parameters": PARAMETERS | {"carrier": "pigeon"}}}
        preview = await self._ask("sales-owner", queries.PREVIEW, wrong)
        problem = preview["previewTemplate"]["problems"][0]
        self.tell(f"a wrong parameter is told: {problem['path']}: {problem['message']}")
        try:
            existing = await self._ask("sales-owner", queries.VERSIONS, {"ref": FLOW})
            version = existing["flow"]["versions"]["nodes"][0]
        except NotFound:
            given = asked | {"parameters": PARAMETERS}
            saved = await self._do("sales-owner", queries.INSTANTIATE, **given)
            version = saved["version"]
        await self._bring_live(version, "coe-lead", submitter="sales-owner")
        live = await self._ask("sales-owner", queries.VERSIONS, {"ref": FLOW})
        aliases = live["flow"]["aliases"]
        self.tell(f"{FLOW} is published, signed, and live is {aliases['live']}")

    async def _bring_live(
        self,
        version: Mapping[str, Any],
        reviewer: str,
        *,
        submitter: str | None,
    ) -> None:
        """Submit, have reviewed and publish a version, from where it stands."""
        ref, stands = version["ref"], version["lifecycle"]
        if stands == "DRAFT" and submitter:
            await self._do(submitter, queries.SUBMIT, ref=ref)
            await self._own_review(submitter, ref)
            stands = "IN_REVIEW"
        if stands == "IN_REVIEW":
            comment = "Follows the standards"
            await self._do(reviewer, queries.REVIEW, ref=ref, approve=True, comment=comment)
            await self._do(reviewer, queries.PUBLISH, ref=ref)

    async def _own_review(self, author: str, ref: str) -> None:
        """The author tries to approve her own version, and is refused.

        Raises:
            CoeError: She was not.
        """
        if not ref.startswith(FLOW):
            return
        try:
            await self._do(author, queries.REVIEW, ref=ref, approve=True, comment="Looks good")
        except Forbidden as error:
            self.tell(f"{author} may not approve her own {ref}: {error.extensions.get('rule')}")
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

    async def _run_case(self, case: Case) -> None:
        correlation = f"demo-{case.name}"
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
        self.tell(f"run “{case.title}”: {ended['state']}, {outcome}\n    {path}")

    async def _follow(self, case: Case, run_id: str) -> dict[str, Any]:
        """Wait for the end of a run; finance decides when it is asked.

        Raises:
            Unavailable: It did not end in time.
        """
        deadline = time.monotonic() + RUN_PATIENCE
        while time.monotonic() < deadline:
            seen = (await self._ask("sales-owner", queries.STATE, {"id": run_id}))["run"]
            if seen["state"] in ENDED:
                data = await self._ask("sales-owner", queries.RUN, {"id": run_id})
                run: dict[str, Any] = data["run"]
                return run
            for task in (step["humanTask"] for step in seen["steps"]):
                if task and task["state"] in {"OPEN", "CLAIMED"} and case.decision:
                    await self._decide(case, task["id"])
            await asyncio.sleep(0.3)
        raise Unavailable(f"the run “{case.title}” did not end within {RUN_PATIENCE:.0f} s")

    async def _decide(self, case: Case, task_id: str) -> None:
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
            self.tell(f"sales-owner may not decide on her own run: {rule}")
        await self._do("finance-approver", queries.CLAIM, task=task_id)
        await self._do("finance-approver", queries.COMPLETE, **given)

    # ------------------------------------------------------------ the log

    async def _audit(self) -> None:
        """The auditor asks who did what on the flow, and has the whole log proven.

        Raises:
            CoeError: The log does not verify.
        """
        await asyncio.sleep(SEALED_WITHIN)
        log = await self._ask("auditor", queries.AUDIT, {"flow": f"flow:{FLOW}"})
        refused = {f"{event['actor']} {event['action']}" for event in log["refused"]["nodes"]}
        readers = {event["actor"] for event in log["readers"]["nodes"]}
        told = (await self._ask("auditor", queries.VERIFY))["verifyAudit"]
        self.tell(
            f"auditor: {log['all']['totalCount']} events on {FLOW}\n"
            f"    refused: {', '.join(sorted(refused))}\n"
            f"    read personal data: {', '.join(sorted(readers))}\n"
            f"    the log of {told['treeSize']} events is {'proven' if told['ok'] else 'BROKEN'}",
        )
        if not told["ok"]:
            raise CoeError("the audit log does not verify")
