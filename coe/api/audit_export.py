"""The audit log as a bundle that anyone can verify offline: `GET /audit/bundle`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import True_

from coe.access.permissions import Permission
from coe.api.audit import reading, record, within
from coe.api.errors import answer
from coe.api.http import authenticate, request_info
from coe.audit.bundle import export
from coe.audit.events import Tag
from coe.audit.queries import Window
from coe.errors import CoeError
from coe.work import Platform

MEDIA_TYPE = "application/jsonl"


def router(platform: Platform) -> APIRouter:
    """The route `/audit/bundle`: the events that the caller may read, each with its proof."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/audit/bundle")
    async def bundle(request: Request) -> Response:
        about = request_info(request)
        try:
            actor = await authenticate(platform, request, about)
            async with platform.work(actor, about) as work:
                decision = reading(work, Permission.AUDIT_READ)
                shown = within(work, Permission.AUDIT_READ)
                await record(work, Tag.AUDIT_LOG_EXPORT, decision, None)
            window = Window() if isinstance(shown, True_) else Window(within=shown)
            lines = _lines(platform, window)
            first = await anext(lines)
        except Exception as error:  # noqa: BLE001  # the edge: it is masked, and logged
            status = error.status if isinstance(error, CoeError) else 500
            return JSONResponse(answer(error, request_id=about.request_id), status_code=status)
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": 'attachment; filename="audit.jsonl"',
            "X-Request-ID": about.request_id,
        }
        return StreamingResponse(_all(first, lines), media_type=MEDIA_TYPE, headers=headers)

    return routes


async def _lines(platform: Platform, window: Window) -> AsyncIterator[bytes]:
    async with platform.database.session() as session:
        async for line in export(session, platform.signer, window):
            yield line


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line
