"""The sample company's database: its tables, encrypted customers, and idempotent writes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import asyncpg
import orjson
from fastapi import HTTPException, Request
from fastapi.responses import Response

from coe.crypto.envelope import Cell
from coe.crypto.keys import Keyring
from coe.json_types import JSON

SCHEMA = """
CREATE TABLE IF NOT EXISTS customers (id text PRIMARY KEY, sealed bytea NOT NULL, credit_limit numeric NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY, customer_id text NOT NULL, status text NOT NULL, total numeric NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS invoices (id text PRIMARY KEY, order_id text NOT NULL, amount numeric NOT NULL, status text NOT NULL);
CREATE TABLE IF NOT EXISTS stock (sku text PRIMARY KEY, available int NOT NULL CHECK (available >= 0));
CREATE TABLE IF NOT EXISTS reservations (id text PRIMARY KEY, order_id text NOT NULL, lines jsonb NOT NULL, status text NOT NULL);
CREATE TABLE IF NOT EXISTS shipments (id text PRIMARY KEY, order_id text NOT NULL, carrier text NOT NULL, tracking text NOT NULL);
CREATE TABLE IF NOT EXISTS calls (key text PRIMARY KEY, method text NOT NULL, path text NOT NULL, digest text NOT NULL, calls int NOT NULL, status int, answer bytea, first_at timestamptz NOT NULL DEFAULT now());
ALTER TABLE calls ADD COLUMN IF NOT EXISTS last_at timestamptz NOT NULL DEFAULT now();
CREATE TABLE IF NOT EXISTS failures (order_id text PRIMARY KEY, failed int NOT NULL);
"""  # noqa: E501  # one table a line
STOCK = {"PUMP-200": 100_000, "VALVE-35": 100_000, "SEAL-8": 100_000}
CREDIT_LIMITS = {"C-1001": "5000000.00", "C-1002": "25000000.00", "C-1003": "1000.00"}

MAX_LATENCY = 5_000
"""The longest delay of a response that a call may request, in milliseconds."""

NEW_CUSTOMER: Mapping[str, JSON] = {"segment": "business", "language": "en"}
PERSONAL = {"customerName": "name", "customerEmail": "email"}

WriteEffect = Callable[[asyncpg.Connection], Awaitable[JSON]]


@dataclass(slots=True)
class Books:
    """The company's database, and the keys of its customers."""

    pool: asyncpg.Pool
    keyring: Keyring

    async def once(self, request: Request, key: str, effect: WriteEffect) -> Response:
        """Apply a write once for its idempotency key, and count the call.

        The response of a successful write is stored for the key. A call may request that the
        response is delayed after the effect (`X-Simulate-Latency`, milliseconds).
        """
        digest = hashlib.sha256(await request.body()).hexdigest()
        async with self.pool.acquire() as connection:
            kept = await connection.fetchrow(
                "INSERT INTO calls (key, method, path, digest, calls) VALUES ($1, $2, $3, $4, 1) "
                "ON CONFLICT (key) DO UPDATE "
                "SET calls = calls.calls + 1, last_at = clock_timestamp() RETURNING *",
                key,
                request.method,
                request.url.path,
                digest,
            )
            if kept["digest"] != digest:
                raise HTTPException(422, "this Idempotency-Key was used with another body")
            async with connection.transaction():
                await connection.execute("SELECT 1 FROM calls WHERE key = $1 FOR UPDATE", key)
                kept = await connection.fetchrow("SELECT * FROM calls WHERE key = $1", key)
                if kept["answer"] is not None:
                    return _json(kept["answer"], kept["status"])
                answer = orjson.dumps(await effect(connection))
                await connection.execute(
                    "UPDATE calls SET status = 200, answer = $2 WHERE key = $1",
                    key,
                    answer,
                )
        await _delay(request)
        return _json(answer, 200)

    async def customer(self, customer_id: str) -> dict[str, JSON]:
        """A customer of the CRM; an unknown one is created with the default limit."""
        query = "SELECT * FROM customers WHERE id = $1"
        row = await self.pool.fetchrow(query, customer_id)
        if row is None:
            await self._keep(customer_id, {**NEW_CUSTOMER})
            row = await self.pool.fetchrow(query, customer_id)
        opened = await self.keyring.open_json(_place(customer_id), "customer", row["sealed"])
        details = opened if isinstance(opened, dict) else {}
        return {"id": customer_id, "creditLimit": str(row["credit_limit"])} | details

    async def remember(self, customer_id: str, order: Mapping[str, JSON]) -> None:
        """Store the name and e-mail address of an order's customer."""
        details: dict[str, JSON] = {
            name: order[key] for key, name in PERSONAL.items() if order.get(key)
        }
        if details:
            await self._keep(customer_id, {**NEW_CUSTOMER, **details})

    async def _keep(self, customer_id: str, profile: dict[str, JSON]) -> None:
        sealed = await self.keyring.seal_json(_place(customer_id), "customer", profile)
        await self.pool.execute(
            "INSERT INTO customers VALUES ($1, $2, $3) "
            "ON CONFLICT (id) DO UPDATE SET sealed = EXCLUDED.sealed",
            customer_id,
            sealed,
            decimal(CREDIT_LIMITS.get(customer_id, "5000000.00")),
        )


async def _delay(request: Request) -> None:
    requested = request.headers.get("X-Simulate-Latency", "")
    if requested.isdecimal():
        await asyncio.sleep(min(int(requested), MAX_LATENCY) / 1000)


def _place(customer_id: str) -> Cell:
    return Cell(table="customers", row=customer_id, column="sealed", team="acme")


def decimal(value: object) -> Decimal:
    """Parse an amount, which is sent as text.

    Raises:
        HTTPException: It is not a decimal number (422).
    """
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise HTTPException(422, "an amount is a decimal number as text") from None


def _json(body: bytes, status: int) -> Response:
    return Response(body, status_code=status, media_type="application/json")
