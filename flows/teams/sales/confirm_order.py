"""The flow of sales: mark an order as shipped in the CRM."""

from __future__ import annotations

import os
from typing import Any

import httpx
from prefect import flow

from coe.sdk import local_run


@flow(name="confirm-order")
async def confirm_order(run_id: str) -> None:
    """Set the order's status in the CRM, which then notifies the customer."""
    async with local_run(run_id) as run:
        order: dict[str, Any] = run.input

        async def confirm() -> dict[str, Any]:
            async with httpx.AsyncClient(base_url=os.environ["ACME_CRM_URL"], timeout=20) as crm:
                answer = await crm.patch(
                    f"/orders/{order['orderId']}",
                    json={"status": "shipped"},
                    headers={"Idempotency-Key": run.key("confirm")},
                )
            answer.raise_for_status()
            confirmed: dict[str, Any] = answer.json()
            return confirmed

        confirmed = await run.step("confirm", confirm)
        run.output = {"orderId": order["orderId"], "status": confirmed["status"]}
