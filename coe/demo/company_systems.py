"""The HTTP endpoints of the sample company's CRM, ERP and WMS: one router for each system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import asyncpg
import orjson
from fastapi import APIRouter, Header, HTTPException, Request
from fastapi.responses import Response

from coe.db import new_id
from coe.demo.company_books import Books, decimal
from coe.json_types import JSON

FAIL_TWICE = 2


def books_of(request: Request) -> Books:
    """The books of the running service."""
    books: Books = request.app.state.books
    return books


IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=8, max_length=200)]
JsonObject = dict[str, JSON]

crm = APIRouter(prefix="/crm")
erp = APIRouter(prefix="/erp")
wms = APIRouter(prefix="/wms")


def _text(body: Mapping[str, JSON], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise HTTPException(422, f"{name}: a text is required")
    return value


@crm.get("/customers/{customer_id}")
async def get_customer(request: Request, customer_id: str) -> JsonObject:
    """Return a customer's credit limit and segment."""
    return await books_of(request).customer(customer_id)


@crm.post("/orders")
async def post_order(request: Request, body: JsonObject, key: IdempotencyKey) -> Response:
    """Book an order; only the fields that the CRM needs are stored."""
    order_id, customer_id = _text(body, "orderId"), _text(body, "customerId")

    async def effect(connection: asyncpg.Connection) -> JSON:
        await connection.execute(
            "INSERT INTO orders (id, customer_id, status, total) VALUES ($1, $2, 'received', $3) "
            "ON CONFLICT (id) DO UPDATE SET status = 'received', updated_at = now()",
            order_id,
            customer_id,
            decimal(body.get("total", "0")),
        )
        await books_of(request).remember(customer_id, body)
        return {"orderId": order_id, "status": "received"}

    return await books_of(request).once(request, key, effect)


@crm.patch("/orders/{order_id}")
async def patch_order(
    request: Request, order_id: str, body: JsonObject, key: IdempotencyKey
) -> Response:
    """Set an order's status."""
    status = _text(body, "status")

    async def effect(connection: asyncpg.Connection) -> JSON:
        await connection.execute(
            "INSERT INTO orders (id, customer_id, status, total) VALUES ($1, '', $2, 0) "
            "ON CONFLICT (id) DO UPDATE SET status = $2, updated_at = now()",
            order_id,
            status,
        )
        return {"orderId": order_id, "status": status}

    return await books_of(request).once(request, key, effect)


@crm.get("/orders/{order_id}")
async def get_order(request: Request, order_id: str) -> JsonObject:
    """Return an order's status."""
    row = await books_of(request).pool.fetchrow("SELECT * FROM orders WHERE id = $1", order_id)
    if row is None:
        raise HTTPException(404, "no such order")
    return {"orderId": order_id, "status": row["status"], "total": str(row["total"])}


@erp.get("/credit/{customer_id}")
async def get_credit(request: Request, customer_id: str) -> JsonObject:
    """Return a customer's credit limit and the sum of the open invoices."""
    books = books_of(request)
    customer = await books.customer(customer_id)
    owed = await books.pool.fetchval(
        "SELECT coalesce(sum(i.amount), 0) FROM invoices i JOIN orders o ON o.id = i.order_id "
        "WHERE o.customer_id = $1 AND i.status = 'open'",
        customer_id,
    )
    rating = "A" if customer_id != "C-1003" else "C"
    limit = customer["creditLimit"]
    return {"customerId": customer_id, "limit": limit, "owed": str(owed), "rating": rating}


async def _simulate_failure(books: Books, body: Mapping[str, JSON], order_id: str) -> None:
    simulated = body.get("simulate")
    if simulated not in {"fail-twice", "down"}:
        return
    failed = await books.pool.fetchval(
        "INSERT INTO failures VALUES ($1, 1) ON CONFLICT (order_id) "
        "DO UPDATE SET failed = failures.failed + 1 RETURNING failed",
        order_id,
    )
    if simulated == "down" or failed <= FAIL_TWICE:
        raise HTTPException(503, "the ERP is being maintained")


@erp.post("/invoices")
async def post_invoice(request: Request, body: JsonObject, key: IdempotencyKey) -> Response:
    """Create an invoice; `simulate` (fail-twice, down) makes the ERP fail."""
    order_id, amount = _text(body, "orderId"), decimal(body.get("amount", "0"))
    books = books_of(request)

    async def effect(connection: asyncpg.Connection) -> JSON:
        await _simulate_failure(books, body, order_id)
        invoice_id = f"INV-{new_id().hex[-12:]}"
        await connection.execute(
            "INSERT INTO invoices VALUES ($1, $2, $3, 'open')",
            invoice_id,
            order_id,
            amount,
        )
        return {"invoiceId": invoice_id, "orderId": order_id, "status": "open"}

    return await books.once(request, key, effect)


@erp.post("/invoices/{invoice_id}/cancel")
async def cancel_invoice(request: Request, invoice_id: str, key: IdempotencyKey) -> Response:
    """Cancel an invoice."""

    async def effect(connection: asyncpg.Connection) -> JSON:
        await connection.execute(
            "UPDATE invoices SET status = 'cancelled' WHERE id = $1",
            invoice_id,
        )
        return {"invoiceId": invoice_id, "status": "cancelled"}

    return await books_of(request).once(request, key, effect)


@wms.post("/reservations")
async def post_reservation(request: Request, body: JsonObject, key: IdempotencyKey) -> Response:
    """Reserve stock for an order's lines, all of them or none."""
    order_id, lines = _text(body, "orderId"), body.get("lines")
    if not isinstance(lines, list) or not lines:
        raise HTTPException(422, "lines: a list of {sku, quantity} is required")

    async def effect(connection: asyncpg.Connection) -> JSON:
        await _take_stock(connection, lines, sign=-1)
        reservation_id = f"RES-{new_id().hex[-12:]}"
        await connection.execute(
            "INSERT INTO reservations VALUES ($1, $2, $3, 'reserved')",
            reservation_id,
            order_id,
            orjson.dumps(lines).decode(),
        )
        return {"reservationId": reservation_id, "orderId": order_id, "status": "reserved"}

    return await books_of(request).once(request, key, effect)


async def _take_stock(connection: asyncpg.Connection, lines: list[JSON], *, sign: int) -> None:
    for line in lines:
        if not isinstance(line, dict):
            raise HTTPException(422, "lines: each is {sku, quantity}")
        sku, quantity = _text(line, "sku"), line.get("quantity")
        if not isinstance(quantity, int) or quantity < 1:
            raise HTTPException(422, f"{sku}: quantity is a whole number above 0")
        try:
            done = await connection.execute(
                "UPDATE stock SET available = available + $2 WHERE sku = $1",
                sku,
                sign * quantity,
            )
        except asyncpg.CheckViolationError:
            raise HTTPException(409, f"{sku}: not enough in stock") from None
        if done == "UPDATE 0":
            raise HTTPException(422, f"{sku}: no such article")


@wms.delete("/reservations/{reservation_id}")
async def delete_reservation(
    request: Request, reservation_id: str, key: IdempotencyKey
) -> Response:
    """Release reserved stock; a released reservation stays released."""

    async def effect(connection: asyncpg.Connection) -> JSON:
        row = await connection.fetchrow(
            "UPDATE reservations SET status = 'released' "
            "WHERE id = $1 AND status = 'reserved' RETURNING lines",
            reservation_id,
        )
        if row is not None:
            await _take_stock(connection, orjson.loads(row["lines"]), sign=1)
        return {"reservationId": reservation_id, "status": "released"}

    return await books_of(request).once(request, key, effect)


@wms.post("/shipments")
async def post_shipment(request: Request, body: JsonObject, key: IdempotencyKey) -> Response:
    """Hand an order to the carrier."""
    order_id, carrier = _text(body, "orderId"), _text(body, "carrier")

    async def effect(connection: asyncpg.Connection) -> JSON:
        shipment_id, tracking = f"SHP-{new_id().hex[-12:]}", f"TRK{new_id().hex[-10:].upper()}"
        await connection.execute(
            "INSERT INTO shipments VALUES ($1, $2, $3, $4)",
            shipment_id,
            order_id,
            carrier,
            tracking,
        )
        return {"shipmentId": shipment_id, "carrier": carrier, "tracking": tracking}

    return await books_of(request).once(request, key, effect)


@wms.get("/stock/{sku}")
async def get_stock(request: Request, sku: str) -> JsonObject:
    """Return the available quantity of an article."""
    available = await books_of(request).pool.fetchval(
        "SELECT available FROM stock WHERE sku = $1",
        sku,
    )
    if available is None:
        raise HTTPException(404, "no such article")
    return {"sku": sku, "available": available}
