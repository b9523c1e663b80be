"""Order documents for tests: those that the project ships, each with a new number."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import coe.demo

FOLDER = Path(coe.demo.__file__).parent / "orders"
_numbers = itertools.count(70_001)


def order(name: str, *, erp: str | None = None, customer: str | None = None) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    document["orderId"] = f"SO-{next(_numbers)}"
    document.pop("simulate", None)
    if erp:
        document["simulate"] = {"erp": erp}
    if customer:
        document["customer"]["name"] = customer
        document["customer"]["email"] = (
            f"{customer.split()[0].lower()}@{customer.split()[-1].lower()}.example"
        )
    return document
