"""`GET /audit/bundle`: the audit log as a bundle that anyone can verify offline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from coe.api.graphql.errors import refusal, status_of
from coe.api.graphql.ids import resource_name
from coe.api.http.requests import (
    accept_correlation,
    authenticate_request,
    request_info,
    response_headers,
)
from coe.audit.events import AuditOutcome
from coe.audit.queries import AuditEventFilter
from coe.errors import Invalid, Problem
from coe.formats import instants
from coe.governance import audit_log
from coe.language.suggestions import did_you_mean
from coe.rate_limits import Limited
from coe.work import Platform

MEDIA_TYPE = "application/jsonl"
_NAMES = (
    "actions",
    "actors",
    "after",
    "before",
    "correlationId",
    "outcomes",
    "resources",
    "teams",
)


def router(platform: Platform) -> APIRouter:
    """The route: the events that the caller may read, each with its proof."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/audit/bundle")
    async def bundle(request: Request) -> Response:
        about = request_info(request)
        try:
            actor = await authenticate_request(platform, request, about)
            await platform.limit(Limited.EXPORT, about, actor=actor)
            about = await accept_correlation(platform, actor, request, about)
            async with platform.work(actor, about) as work:
                window = await audit_log.request_export(work, wanted_events(request))
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


def wanted_events(request: Request) -> AuditEventFilter:
    """The filter in the query string: the names of an `AuditFilter`, each as often as needed.

    Raises:
        Invalid: A name is not one of them, or a value has another form; each is located.
    """
    given = request.query_params
    problems = [
        _problem(f"there is no filter {name!r}{did_you_mean(name, _NAMES)}", name)
        for name in given
        if name not in _NAMES
    ]
    times: dict[str, datetime | None] = {}
    for name in ("after", "before"):
        try:
            times[name] = instants.read(given[name]) if name in given else None
        except ValueError:
            problems.append(_problem(f"must be {instants.WANTED}", name))
    outcomes = given.getlist("outcomes")
    problems += [
        _problem(f"{outcome!r} is none of {', '.join(AuditOutcome)}", "outcomes")
        for outcome in outcomes
        if outcome not in AuditOutcome.__members__
    ]
    if problems:
        raise Invalid(problems)
    return AuditEventFilter(
        actors=given.getlist("actors"),
        actions=given.getlist("actions"),
        resources=[resource_name(each) for each in given.getlist("resources")],
        outcomes=[AuditOutcome(each) for each in outcomes],
        teams=given.getlist("teams"),
        after=times.get("after"),
        before=times.get("before"),
        correlation_id=given.get("correlationId"),
    )


def _problem(message: str, name: str) -> Problem:
    return Problem("INPUT_FILTER", message, path=f"/{name}")


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line
