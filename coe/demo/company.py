"""The sample company's CRM, ERP and WMS: a small HTTP service with its own database.

It represents the systems that a company already has. Every write takes an `Idempotency-Key`:
repeated with the same key it returns the first response and changes nothing. `GET /calls` lists
how often each key was used. Customers are stored encrypted, as in a regulated company.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from fastapi import FastAPI, Request

from coe.crypto.kek import create_keks
from coe.crypto.keys import Keyring
from coe.crypto.models import DataKey, DataKeyChange
from coe.db import Database
from coe.demo.company_books import SCHEMA, STOCK, Books
from coe.demo.company_systems import books_of, crm, erp, wms
from coe.json_types import JSON


async def _calls(request: Request) -> list[dict[str, JSON]]:
    rows = await books_of(request).pool.fetch(
        "SELECT key, method, path, calls, status FROM calls ORDER BY first_at, key LIMIT 10000",
    )
    return [dict(row) for row in rows]


async def _invoices(request: Request, order_id: str) -> list[dict[str, JSON]]:
    rows = await books_of(request).pool.fetch(
        "SELECT id, status FROM invoices WHERE order_id = $1 ORDER BY id",
        order_id,
    )
    return [dict(row) for row in rows]


def create_company(database_url: str, key_file: Path) -> FastAPI:
    """Create the service; it creates its tables and its stock when it starts.

    Args:
        database_url: The libpq URL of the company's own database.
        key_file: The key that encrypts customers (mode 0600, created if missing).
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(database_url, name="acme", pool_size=2)
        async with database.engine.begin() as connection:
            for model in (DataKey, DataKeyChange):
                table = model.metadata.tables[str(model.__tablename__)]
                await connection.run_sync(table.create, checkfirst=True)
        pool = await asyncpg.create_pool(database_url, min_size=1, max_size=10)
        await pool.execute(SCHEMA)
        await pool.executemany(
            "INSERT INTO stock VALUES ($1, $2) ON CONFLICT DO NOTHING",
            list(STOCK.items()),
        )
        await asyncio.to_thread(create_keks, key_file)
        app.state.books = Books(pool, Keyring(database, key_file))
        yield
        await pool.close()
        await database.close()

    app = FastAPI(title="ACME systems", lifespan=lifespan, docs_url=None, redoc_url=None)
    for router in (crm, erp, wms):
        app.include_router(router)
    app.add_api_route("/calls", _calls, methods=["GET"])
    app.add_api_route("/erp/orders/{order_id}/invoices", _invoices, methods=["GET"])

    @app.get("/healthz")
    async def healthz() -> dict[str, JSON]:
        return {"ok": True}

    return app
