"""The flow of the warehouse: reserve the stock of an order in the WMS, and pack it."""

from __future__ import annotations

import math
import os
from typing import Any

import httpx
from prefect import flow

from coe.sdk import local_run

PER_PARCEL = 20


@flow(name="pick-and-pack")
async def pick_and_pack(run_id: str) -> None:
    """Reserve all lines of the order, and compute the number of parcels."""
    async with local_run(run_id) as run:
        order: dict[str, Any] = run.input

        async def reserve() -> dict[str, Any]:
            async with httpx.AsyncClient(base_url=os.environ["ACME_WMS_URL"], timeout=20) as wms:
                answer = await wms.post(
                    "/reservations",
                    json={"orderId": order["orderId"], "lines": order["lines"]},
                    headers={"Idempotency-Key": run.key("reserve")},
                )
            answer.raise_for_status()
            reserved: dict[str, Any] = answer.json()
            return reserved

        async def pack() -> dict[str, Any]:
            pieces = sum(line["quantity"] for line in order["lines"])
            return {"parcels": math.ceil(pieces / PER_PARCEL)}

        reserved = await run.step("reserve", reserve)
        packed = await run.step("pack", pack)
        run.output = {"reservationId": reserved["reservationId"], "parcels": packed["parcels"]}
