"""Events over HTTP and GraphQL: every mode, who may send them, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from coe.api.graphql.ids import to_uuid
from coe.outbox import OUTBOX
from coe.runs.event_payload import open_events
from coe.runs.tables import EVENTS
from coe.schedules.sync import refresh_schedule
from tests.factories.api import Api, Refused
from tests.factories.runs import central, engine, publish, until
from tests.factories.tokens import bearer_of

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
LISTEN = """  - paid:
      listen: {to: {one: {with: {type: com.example.paid}}}}
"""
COMPARED = """  - paid:
      listen:
        to: {one: {with: {type: com.example.paid}, correlate: {order: {from: .data.order}}}}
"""
STEPS = "query ($id: ID!) { run(id: $id) { steps { unmatchedEvents unmatchedAt } } }"
SELLER = "demo-sales-owner"
START = "startRun", "StartRunInput", "run { id }"
SEND = (
    "sendEvent",
    "SendEventInput",
    "duplicate delivered { id state } pending unmatched { flow run { id } path reason }",
)


def event(**more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/shop",
        "type": "com.example.paid",
        "data": {"order": 7},
    } | more


def headers(**more: str) -> dict[str, str]:
    attributes = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/shop",
        "type": "com.example.paid",
    }
    return {f"ce-{name}": value for name, value in (attributes | more).items()}


async def post(
    api: Api,
    content: object,
    *,
    token: str | None = SELLER,
    kind: str | None = STRUCTURED,
    more: dict[str, str] | None = None,
) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    given = {"Content-Type": kind} if kind else {}
    async with api.client(token) as client:
        return await client.post("/events", content=body, headers=given | (more or {}))


async def stored(api: Api) -> list[dict[str, Any]]:
    platform = api.services.platform
    async with platform.database.session() as session:
        ids = (await session.execute(select(EVENTS.c.id).order_by(EVENTS.c.arrival))).scalars()
        order = list(ids)
        found = await open_events(session, platform.keyring, order)
    return [found[each] for each in order]


def located(response: httpx.Response) -> list[tuple[str, str]]:
    assert response.headers["content-type"] == "application/problem+json"
    return [(each["pointer"], each["detail"]) for each in response.json()["errors"]]


# ---------------------------------------------------------------- modes


async def test_structured_mode(still_api: Api) -> None:
    sent = event(subject="order 7", comexampleother="x", flag=True, count=3, unset=None)
    response = await post(still_api, sent, kind=f"{STRUCTURED}; charset=UTF-8")
    assert response.status_code == 202
    assert response.json() == {
        "id": sent["id"],
        "source": "/shop",
        "delivered": 0,
        "pending": 0,
        "unmatched": 0,
        "duplicate": False,
    }
    del sent["unset"]
    assert await stored(still_api) == [sent]


async def test_binary_mode_decodes_headers_and_json(still_api: Api) -> None:
    given = headers(
        subject="Euro%20%E2%82%AC%20%22quoted%22",
        time="2026-03-01T08:00:00.5+01:00",
        comexampleother='"a \\"b\\""',
    )
    response = await post(still_api, {"order": 7}, kind="application/vnd.shop+json", more=given)
    assert response.status_code == 202
    [kept] = await stored(still_api)
    assert kept == {
        "specversion": "1.0",
        "id": given["ce-id"],
        "source": "/shop",
        "type": "com.example.paid",
        "subject": 'Euro € "quoted"',
        "time": "2026-03-01T08:00:00.5+01:00",
        "comexampleother": 'a "b"',
        "datacontenttype": "application/vnd.shop+json",
        "data": {"order": 7},
    }


async def test_a_number_that_would_be_rounded_is_refused(still_api: Api) -> None:
    large = {"order": 2**64}
    response = await post(still_api, event(data=large))
    assert response.status_code == 400
    assert "A whole number has more than 64 bits" in located(response)[0][1]
    response = await post(still_api, large, kind="application/json", more=headers())
    assert response.status_code == 400
    assert located(response)[0][0] == "/data"
    assert await stored(still_api) == []


@pytest.mark.parametrize(
    ("kind", "body", "data"),
    [
        ("text/plain", "grüß".encode(), {"data": "grüß"}),
        ("text/plain; charset=utf-8", b"hi", {"data": "hi"}),
        ("text/plain; charset=latin-1", b"\xfc", {"data_base64": "/A=="}),
        ("application/xml", b"<a/>", {"data": "<a/>"}),
        ("image/png", b"\x89PNG", {"data_base64": base64.b64encode(b"\x89PNG").decode()}),
        ("application/json", b"null", {"data": None}),
        ("application/json", b"", {}),
        (None, b"\x00\x01", {"data_base64": "AAE="}),
    ],
)
async def test_binary_mode_accepts_data_of_every_type(
    still_api: Api, kind: str | None, body: bytes, data: dict[str, Any]
) -> None:
    response = await post(still_api, body, kind=kind, more=headers())
    assert response.status_code == 202
    [kept] = await stored(still_api)
    assert {name: value for name, value in kept.items() if name.startswith("data_b")} == {
        name: value for name, value in data.items() if name == "data_base64"
    }
    assert ("data" in kept, kept.get("data")) == ("data" in data, data.get("data"))
    assert kept.get("datacontenttype") == kind


async def test_a_batch_is_accepted_whole_or_not_at_all(still_api: Api) -> None:
    first, second = event(), event()
    bad = [first, second | {"type": ""}, {"id": "x"}]
    response = await post(still_api, bad, kind=BATCHED)
    assert response.status_code == 400
    assert [pointer for pointer, _ in located(response)] == [
        "/1/type",
        "/2/specversion",
        "/2/source",
        "/2/type",
    ]
    assert await stored(still_api) == []
    response = await post(still_api, [first, second, first], kind=BATCHED)
    assert response.status_code == 202
    assert [each["duplicate"] for each in response.json()] == [False, False, True]
    assert (await post(still_api, [first, second], kind=BATCHED)).status_code == 200
    assert (await post(still_api, [], kind=BATCHED)).status_code == 200
    assert (await post(still_api, first, kind=BATCHED)).status_code == 400
    many = [event() for _ in range(101)]
    assert (await post(still_api, many, kind=BATCHED)).status_code == 413
    assert await stored(still_api) == [first, second]


async def test_an_event_reaches_its_runs_over_http_and_graphql(still_api: Api) -> None:
    platform = still_api.services.platform
    await publish(platform, central("pay", LISTEN))
    owner = still_api.persona("sales-owner")
    runs = [
        (await owner.do(*START, flow="sales/pay", input={"customer": "x"}))["run"]["id"]
        for _ in range(2)
    ]
    sent = event()
    answer = await owner.do(*SEND, event=sent)
    assert (answer["delivered"], answer["pending"]) == ([], 2)  # nobody has looked so far
    assert (answer["duplicate"], answer["problems"]) == (False, [])
    async with engine(platform):
        for run in runs:
            await until(platform, to_uuid("Run", run), "COMPLETED")
    response = await post(still_api, sent)
    assert response.status_code == 200
    counts = {"delivered": 2, "pending": 0, "unmatched": 0, "duplicate": True}
    assert response.json() == {"id": sent["id"], "source": "/shop"} | counts
    again = await owner.do(*SEND, event=sent)
    assert again["duplicate"] is True
    assert sorted(each["id"] for each in again["delivered"]) == sorted(runs)


async def test_who_could_not_compare_an_event_is_shown_without_its_data(still_api: Api) -> None:
    platform = still_api.services.platform
    await publish(platform, central("pay", COMPARED))
    owner = still_api.persona("sales-owner")
    run = (await owner.do(*START, flow="sales/pay", input={"customer": "x"}))["run"]["id"]
    poison = event(data="canary-text")
    answer = await owner.do(*SEND, event=poison)
    async with engine(platform):
        await until(platform, to_uuid("Run", run), "WAITING")
    place = "/do/0/paid/listen/to/one/correlate/order/from"
    answer = await owner.do(*SEND, event=poison)
    reason = f"the expression at {place} fails on its data"
    shown = {"flow": "sales/pay@1.0.0", "run": {"id": run}, "path": place, "reason": reason}
    assert answer["unmatched"] == [shown]
    assert (answer["delivered"], answer["pending"]) == ([], 0)
    found = await owner.ask(STEPS, id=run)
    assert found["run"]["steps"] == [{"unmatchedEvents": 1, "unmatchedAt": place}]
    assert (await post(still_api, poison)).json()["unmatched"] == 1


async def test_a_client_mutation_id_gives_the_same_answer(still_api: Api) -> None:
    owner = still_api.persona("sales-owner")
    sent = event()
    first = await owner.do(*SEND, event=sent, clientMutationId="a")
    assert await owner.do(*SEND, event=sent, clientMutationId="a") == first
    with pytest.raises(Refused) as refused:
        await owner.do(*SEND, event=event(), clientMutationId="a")
    assert refused.value.code == "CONFLICT"


# ---------------------------------------------------------------- senders


@pytest.mark.parametrize("token", [None, "demo-nobody", "coe_" + "x" * 43])
async def test_an_unknown_sender_is_refused(still_api: Api, token: str | None) -> None:
    response = await post(still_api, event(), token=token)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["code"] == "UNAUTHENTICATED"


async def test_a_sender_without_the_permission_is_refused_with_the_reason(still_api: Api) -> None:
    response = await post(still_api, event(), token="demo-auditor")
    assert response.status_code == 403
    assert response.json()["permission"] == "event:send"
    with pytest.raises(Refused) as refused:
        await still_api.persona("outsider").do(*SEND, event=event())
    assert refused.value.code == "FORBIDDEN"
    assert await stored(still_api) == []


async def test_a_service_sends_with_a_token_of_that_scope(still_api: Api) -> None:
    platform = still_api.services.platform

    async def token(*scopes: str) -> str:
        return await bearer_of(platform, "service:web-shop", *scopes)

    assert (await post(still_api, event(), token=await token("event:send"))).status_code == 202
    assert (await post(still_api, event(), token=await token("event:*"))).status_code == 202
    assert (await post(still_api, event(), token=await token("run:read"))).status_code == 403


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"specversion": "2.0"}, "/specversion"),
        ({"specversion": 1.0}, "/specversion"),
        ({"specversion": None}, "/specversion"),
        ({"id": None}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": 7}, "/id"),
        ({"id": "a\nb"}, "/id"),
        ({"id": "x" * 2049}, "/id"),
        ({"source": None}, "/source"),
        ({"source": "no space"}, "/source"),
        ({"source": "/sales/order/1.0.0"}, "/source"),
        ({"type": None}, "/type"),
        ({"subject": ""}, "/subject"),
        ({"time": "yesterday"}, "/time"),
        ({"time": "2026-13-01T08:00:00Z"}, "/time"),
        ({"time": "2026-03-01T08:00:00"}, "/time"),
        ({"time": "2026-03-01"}, "/time"),
        ({"dataschema": "/relative"}, "/dataschema"),
        ({"datacontenttype": "json"}, "/datacontenttype"),
        ({"Upper": "x"}, "/Upper"),
        ({"with-hyphen": "x"}, "/with-hyphen"),
        ({"a/b": "x"}, "/a~1b"),
        ({"extra": {"a": 1}}, "/extra"),
        ({"extra": 1.5}, "/extra"),
        ({"extra": 2**31}, "/extra"),
        ({"data_base64": "AA=="}, "/data_base64"),
    ],
    ids=str,
)
async def test_problems_are_located(still_api: Api, change: dict[str, Any], pointer: str) -> None:
    response = await post(still_api, event(**change))
    assert response.status_code == 400
    assert [found for found, _ in located(response)] == [pointer]
    assert response.json()["status"] == 400
    assert await stored(still_api) == []
    answer = await still_api.persona("sales-owner").do(*SEND, event=event(**change))
    assert [each["path"] for each in answer["problems"]] == ["/event" + pointer]
    assert answer["delivered"] == []


async def test_data_that_is_not_base64(still_api: Api) -> None:
    sent = event()
    del sent["data"]
    for bad in ("not base64!", 7, "AAA"):
        response = await post(still_api, sent | {"data_base64": bad})
        assert located(response)[0][0] == "/data_base64"
    assert (await post(still_api, sent | {"data_base64": "AAE="})).status_code == 202


async def test_all_problems_are_reported_at_once(still_api: Api) -> None:
    response = await post(still_api, {"data": 1, "Bad": 1})
    assert [pointer for pointer, _ in located(response)] == [
        "/specversion",
        "/id",
        "/source",
        "/type",
        "/Bad",
    ]


async def test_bodies_that_are_not_events(still_api: Api) -> None:
    for body in (b"{", b"[]", b'"x"', b"1", b"\xff"):
        response = await post(still_api, body)
        assert response.status_code == 400, body
    for kind in (
        "application/json",
        None,
        "application/cloudevents+xml",
        "application/cloudevents",
    ):
        assert (await post(still_api, event(), kind=kind)).status_code == 415, kind
    latin = await post(still_api, event(), kind=f"{STRUCTURED}; charset=latin-1")
    assert latin.status_code == 415
    nested = b'{"data":' + b"[" * 200 + b"]" * 200 + b"}"
    assert (await post(still_api, nested)).status_code == 413


async def test_invalid_binary_headers(still_api: Api) -> None:
    bad = headers(subject="%ff%fe", datacontenttype="text/plain")
    response = await post(still_api, b"{", kind="application/json", more=bad)
    assert sorted(pointer for pointer, _ in located(response)) == [
        "/data",
        "/datacontenttype",
        "/subject",
    ]
    unversioned = {name: value for name, value in headers().items() if name != "ce-specversion"}
    response = await post(still_api, b"{}", kind="application/json", more=unversioned)
    assert [pointer for pointer, _ in located(response)] == ["/specversion"]


async def test_too_large(still_api: Api) -> None:
    large = event(data="x" * (256 * 1024))
    response = await post(still_api, large)
    assert response.status_code == 400
    assert located(response)[0][0] == ""
    response = await post(still_api, b" " * (2 * 1024 * 1024 + 1))
    assert response.status_code == 413


async def test_other_content_with_the_same_source_and_id(still_api: Api) -> None:
    sent = event()
    await post(still_api, sent)
    response = await post(still_api, sent | {"data": "another"})
    assert response.status_code == 409
    assert response.json()["code"] == "CONFLICT"


async def test_a_refusal_contains_nothing_of_the_event(still_api: Api) -> None:
    canary = "Wilhelmina Zwicknagel"
    response = await post(still_api, event(time=canary, subject=7, extra={canary: 1}, data=canary))
    assert response.status_code == 400
    assert canary not in response.text


async def test_the_webhook_handshake(still_api: Api) -> None:
    async with still_api.client() as client:
        asked = {"WebHook-Request-Origin": "shop.example.com", "WebHook-Request-Rate": "120"}
        response = await client.options("/events", headers=asked)
        assert response.status_code == 204
        assert response.headers["webhook-allowed-origin"] == "*"
        assert response.headers["allow"] == "POST, OPTIONS"
        assert "webhook-allowed-origin" not in (await client.options("/events")).headers
        assert (await client.get("/events")).status_code == 405


async def test_the_same_event_over_http_and_graphql_at_once(still_api: Api) -> None:
    sent = event()
    answers = await asyncio.gather(*(post(still_api, sent) for _ in range(6)))
    assert sorted(each.status_code for each in answers) == [200] * 5 + [202]


SCHEDULED = """
document:
  dsl: 1.0.3
  namespace: sales
  name: welcome
  version: 1.0.0
  title: Welcome
  summary: Starts with an event.
  metadata: {processOwner: sales-owner, dataClass: INTERNAL}
input: {schema: {document: {type: array}}}
schedule: {on: {one: {with: {type: com.example.paid}}}}
do:
  - note:
      set: {done: true}
"""
SHOWN = """
query ($ref: String!) {
  flow(ref: $ref) {
    schedule { kind expression timeZone nextAt enabled version lastAt lastRun { id } problem
      unmatchedEvents }
  }
}
"""


async def scheduled(api: Api, ref: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (await api.persona("sales-owner").ask(SHOWN, ref=ref))["flow"][
        "schedule"
    ]
    return found


async def test_an_event_names_the_run_that_it_started(still_api: Api) -> None:
    platform = still_api.services.platform
    await publish(platform, SCHEDULED)
    async with platform.database.session() as session:
        entry = await session.scalar(select(OUTBOX.c.subject).where(OUTBOX.c.kind == "schedule"))
    assert entry is not None
    await refresh_schedule(platform, entry)
    owner = still_api.persona("sales-owner")
    answer = await owner.do(*SEND, event=event())
    [run] = answer["delivered"]
    shown = await scheduled(still_api, "sales/welcome")
    assert shown is not None
    assert shown.pop("lastAt") is not None
    assert shown == {
        "kind": "ON",
        "expression": "one: com.example.paid",
        "timeZone": "UTC",
        "nextAt": None,
        "enabled": True,
        "version": "1.0.0",
        "lastRun": {"id": run["id"]},
        "problem": None,
        "unmatchedEvents": 0,
    }
    response = await post(still_api, event())
    assert response.json()["delivered"] == 1
    for verb, enabled in (("pauseSchedule", False), ("resumeSchedule", True)):
        changed = await owner.do(
            verb, "ScheduleInput", "flow { schedule { enabled } }", flow="sales/welcome", reason="x"
        )
        assert changed == {"flow": {"schedule": {"enabled": enabled}}, "problems": []}
    with pytest.raises(Refused) as refused:
        await still_api.persona("auditor").do(
            "pauseSchedule", "ScheduleInput", "flow { ref }", flow="sales/welcome", reason="x"
        )
    assert refused.value.extensions["permission"] == "schedule:pause"


async def test_a_flow_that_a_person_starts_has_no_schedule(still_api: Api) -> None:
    await publish(still_api.services.platform, central("pay", LISTEN))
    assert await scheduled(still_api, "sales/pay") is None
