"""`GET /audit/bundle`: the audit log as a bundle that anyone can verify offline."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from coe.api.graphql.errors import refusal, status_of
from coe.api.http.requests import authenticate_request, request_info, response_headers
from coe.governance import audit_log
from coe.work import Platform

MEDIA_TYPE = "application/jsonl"


def router(platform: Platform) -> APIRouter:
    """The route: the events that the caller may read, each with its proof."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/audit/bundle")
    async def bundle(request: Request) -> Response:
        about = request_info(request)
        try:
            actor = await authenticate_request(platform, request, about)
            async with platform.work(actor, about) as work:
                window = await audit_log.request_export(work)
            lines = audit_log.export_log(platform, window)
            first = await anext(lines)
        except Exception as error:  # noqa: BLE001  # the edge: it is masked, and logged
            return JSONResponse(
                refusal(error, request_id=about.request_id),
                status_code=status_of(error),
                headers=response_headers(about, error),
            )
        headers = {"Content-Disposition": 'attachment; filename="audit.jsonl"'}
        return StreamingResponse(
            _chain(first, lines),
            media_type=MEDIA_TYPE,
            headers=response_headers(about) | headers,
        )

    return routes


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line
