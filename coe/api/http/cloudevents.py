"""`POST /events`: CloudEvents 1.0 over HTTP, in structured, batched and binary mode.

| `Content-Type`                       | mode                                                  |
|--------------------------------------|-------------------------------------------------------|
| `application/cloudevents+json`       | structured: the body is the event                     |
| `application/cloudevents-batch+json` | batched: a JSON array of events, all accepted or none |
| any other, with `ce-…` headers       | binary: headers are attributes, the body is data      |

The response is 202 with `{"id", "source", "delivered", "pending", "unmatched", "duplicate"}` (for a
batch a list of them), or 200 if every event is a duplicate. The numbers are of runs that took it or
were started by it so far, that may still take it, and in which an expression failed on it. A
refusal is a problem document (RFC 9457). `OPTIONS` answers the handshake of the CloudEvents webhook
specification ("Abuse Protection").
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request, Response

from coe.api.graphql.errors import refusal, status_of
from coe.api.http.requests import (
    Entrance,
    accept_correlation,
    check_nesting,
    read_body,
    request_info,
    response_headers,
)
from coe.errors import CoeError, Invalid, Problem, TooCostly
from coe.events.bus import SentEvent, deliveries, send_events
from coe.events.cloudevents import (
    HEADER_PREFIX,
    read_binary,
    read_event,
    read_events,
)
from coe.json_types import JSON, NotJson, read_json
from coe.language.event_attributes import INVALID_EVENT
from coe.runs.event_models import DeliveryState
from coe.runs.event_payload import Event
from coe.schedules.event_triggers import settle_soon
from coe.work import Platform, RequestInfo

PATH: Final = "/events"
STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"
PROBLEM: Final = "application/problem+json"
MAX_BATCH: Final = 100
"""Events of a batch."""

_TITLES: Final = {
    "CONFLICT": "Another event has this source and id",
    "FORBIDDEN": "The policy does not allow it",
    "INVALID": "The event is not valid",
    "TOO_COSTLY": "The request is too large, or too slow",
    "UNAUTHENTICATED": "The sender is not known",
    "UNAVAILABLE": "Try again shortly",
}


class _UnsupportedMode(CoeError):
    """Send a CloudEvent in structured, batched or binary mode."""

    code = "INVALID"
    status = 415


@dataclass(frozen=True, slots=True)
class _Received:
    """The events of a request, and whether it was a batch."""

    events: list[Event]
    batched: bool = False


def router(platform: Platform) -> APIRouter:
    """The route `/events`."""
    routes = APIRouter(include_in_schema=False)

    @routes.post(PATH)
    async def receive(request: Request) -> Response:
        about = request_info(request)
        entrance = Entrance(platform, request, about)
        try:
            about = await accept_correlation(platform, await entrance.actor(), request, about)
            received = await _read(request)
            async with platform.work(await entrance.actor(), about) as work:
                sent = await send_events(work, received.events)
            await settle_soon(platform, [each.id for each in sent if not each.duplicate])
            return await _accepted(platform, received, sent, about)
        except Exception as error:  # noqa: BLE001  # the edge: it is masked, and logged
            return _refused(error, about)

    @routes.options(PATH)
    async def handshake(request: Request) -> Response:
        headers = {"Allow": "POST, OPTIONS"}
        origin = request.headers.get("webhook-request-origin")
        if origin is not None:
            headers |= {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "*"}
        return Response(status_code=204, headers=headers)

    return routes


async def _read(request: Request) -> _Received:
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    body = await read_body(request)
    if media.startswith("application/cloudevents"):
        _check_structured(media, parameters)
        value = _json(body)
        if media == STRUCTURED:
            return _Received([read_event(value)])
        if isinstance(value, list) and len(value) > MAX_BATCH:
            message = f"The batch has more than {MAX_BATCH} events; send several."
            raise TooCostly(message, limit="batch", most=MAX_BATCH)
        return _Received(read_events(value), batched=True)
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    if not any(name.startswith(HEADER_PREFIX) for name, _ in headers):
        message = f"Send {STRUCTURED}, {BATCHED}, or any content with ce- headers."
        raise _UnsupportedMode(message)
    event = read_binary(headers, body)
    check_nesting(event.get("data"))
    return _Received([event])


def _check_structured(media: str, parameters: str) -> None:
    if media not in {STRUCTURED, BATCHED}:
        raise _UnsupportedMode(f"{media} is not supported: send {STRUCTURED} or {BATCHED}.")
    charset = parameters.partition("=")[2].strip().strip('"').lower()
    if "charset" in parameters.lower() and charset not in {"utf-8", "us-ascii"}:
        raise _UnsupportedMode("JSON must be UTF-8.")


def _json(body: bytes) -> JSON:
    try:
        value = read_json(body)
    except NotJson as error:
        message = f"the body cannot be read: {error}"
        raise Invalid([Problem(INVALID_EVENT, message, path="")]) from None
    check_nesting(value)
    return value


async def _accepted(
    platform: Platform, received: _Received, sent: list[SentEvent], about: RequestInfo
) -> Response:
    results: list[dict[str, JSON]] = []
    async with platform.database.session() as session:
        by_event = await deliveries(session, {each.id for each in sent})
    for event, each in zip(received.events, sent, strict=True):
        found = by_event[each.id]
        states = Counter(one.state for one in found)
        results.append(
            {
                "id": event["id"],
                "source": event["source"],
                "delivered": states[DeliveryState.TAKEN],
                "pending": sum(one.pending for one in found),
                "unmatched": states[DeliveryState.UNMATCHED],
                "duplicate": each.duplicate,
            },
        )
    status = 200 if all(each.duplicate for each in sent) else 202
    return Response(
        orjson.dumps(results if received.batched else results[0]),
        status_code=status,
        media_type="application/json",
        headers=response_headers(about),
    )


def _refused(error: Exception, about: RequestInfo) -> Response:
    """A problem document (RFC 9457), with the located problems of an event in `errors`."""
    [refused] = refusal(error, request_id=about.request_id)["errors"]
    extensions: dict[str, Any] = dict(refused["extensions"])
    code = extensions.pop("code")
    problems = extensions.pop("problems", None)
    status = 400 if isinstance(error, Invalid) else status_of(error)
    body = {
        "type": f"urn:coe:problem:{code.lower().replace('_', '-')}",
        "title": _TITLES.get(code, "The server failed"),
        "status": status,
        "detail": refused["message"],
        "code": code,
        "requestId": about.request_id,
        **extensions,
    }
    if problems:
        body["errors"] = [
            {"pointer": each.get("path", ""), "code": each["code"], "detail": each["message"]}
            for each in problems
        ]
    headers = response_headers(about, error)
    return Response(orjson.dumps(body), status_code=status, media_type=PROBLEM, headers=headers)
