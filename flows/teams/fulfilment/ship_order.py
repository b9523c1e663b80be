"""The flow of fulfilment: hand a packed order to the carrier."""

from __future__ import annotations

import os
from typing import Any

import httpx
from prefect import flow

from coe.sdk import local_run


@flow(name="ship-order")
async def ship_order(run_id: str) -> None:
    """Book the shipment in the WMS and return its tracking number."""
    async with local_run(run_id) as run:
        order: dict[str, Any] = run.input

        async def ship() -> dict[str, Any]:
            async with httpx.AsyncClient(base_url=os.environ["ACME_WMS_URL"], timeout=20) as wms:
                answer = await wms.post(
                    "/shipments",
                    json={"orderId": order["orderId"], "carrier": order["carrier"]},
                    headers={"Idempotency-Key": run.key("ship")},
                )
            answer.raise_for_status()
            shipment: dict[str, Any] = answer.json()
            return shipment

        shipment = await run.step("ship", ship)
        run.output = {"shipmentId": shipment["shipmentId"], "tracking": shipment["tracking"]}
