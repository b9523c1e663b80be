"""The flow of finance: check whether the customer's remaining credit covers the order."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import httpx
from prefect import flow

from coe.sdk import local_run

REFUSED_RATINGS = frozenset({"D"})


@flow(name="credit-check")
async def credit_check(run_id: str) -> None:
    """Compare the customer's limit and debts in the ERP with the order's total."""
    async with local_run(run_id) as run:
        order: dict[str, Any] = run.input

        async def ask() -> dict[str, Any]:
            async with httpx.AsyncClient(base_url=os.environ["ACME_ERP_URL"], timeout=20) as erp:
                answer = await erp.get(f"/credit/{order['customerId']}")
            answer.raise_for_status()
            credit: dict[str, Any] = answer.json()
            return credit

        credit = await run.step("ask-erp", ask)
        available = Decimal(credit["limit"]) - Decimal(credit["owed"])
        run.output = {
            "approved": Decimal(order["total"]) <= available
            and credit["rating"] not in REFUSED_RATINGS,
            "open": str(available),
            "rating": credit["rating"],
        }
