"""The audit log over HTTP: read with proofs, verified, exported; reading it is recorded."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from coe.audit.bundle_verification import verify_bundle
from coe.audit.checkpoint import Checkpoint
from coe.audit.losses import Loss, confirmation_of, note_loss
from coe.audit.merkle import verify_consistency, verify_inclusion
from coe.work import Platform
from tests.factories.api import Api, Persona, Refused
from tests.factories.api_story import publish_welcome

LOG = """
query ($filter: AuditFilter, $first: Int = 50, $after: String) {
  auditLog(filter: $filter, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage hasPreviousPage endCursor }
    nodes {
      id index at actor actorKind action resource team outcome rule reason correlationId requestId
      address detail leafHash
      proof { treeSize rootHash leafIndex path checkpoint }
    }
  }
}
"""
CHECKPOINT = "{ auditCheckpoint { treeSize rootHash at note } }"


async def _log(asker: Persona, at_least: int = 1, **given: Any) -> dict[str, Any]:
    """The log, once the sealer has sealed at least this many of the events."""
    found: dict[str, Any] = {}
    for _ in range(50):
        found = (await asker.ask(LOG, **given))["auditLog"]
        if len(found["nodes"]) >= at_least:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"fewer than {at_least} events: {found}")


async def _later(asker: Persona, size: int) -> dict[str, Any]:
    """A checkpoint of a larger tree: each query adds an event to the log."""
    for _ in range(50):
        await asker.ask(LOG)
        found = await asker.ask(CHECKPOINT)
        if found["auditCheckpoint"]["treeSize"] > size:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("the log did not grow")


async def test_events_have_their_proofs(api: Api) -> None:
    await publish_welcome(api)
    owner, auditor = api.persona("sales-owner"), api.persona("auditor")
    with pytest.raises(Refused):
        await owner.do(
            "review",
            "ReviewInput",
            "entry { ref }",
            ref="sales/welcome@1.0.0",
            approve=True,
            comment="mine",
        )
    found = await _log(auditor, 5, filter={"resources": ["flow:sales/welcome"]})
    actions = [(event["actor"], event["action"], event["outcome"]) for event in found["nodes"]]
    assert actions == [
        ("sales-owner", "catalog:flow:review", "DENIED"),
        ("coe-lead", "catalog:flow:publish", "ALLOWED"),
        ("coe-lead", "catalog:flow:review", "ALLOWED"),
        ("sales-owner", "catalog:flow:submit", "ALLOWED"),
        ("sales-owner", "catalog:flow:register", "ALLOWED"),
    ]
    assert found["totalCount"] == 5
    refused = found["nodes"][0]
    assert refused["rule"] == "p, relation:author, *, flow:review, *, deny"
    assert refused["detail"] == {"permission": "flow:review"}
    assert "Four eyes" in refused["reason"]
    assert refused["address"] == "127.0.0.1"
    checkpoint = (await auditor.ask(CHECKPOINT))["auditCheckpoint"]
    for event in found["nodes"]:
        proof = event["proof"]
        assert proof["leafIndex"] == event["index"]
        assert verify_inclusion(
            bytes.fromhex(event["leafHash"]),
            proof["leafIndex"],
            proof["treeSize"],
            [bytes.fromhex(node) for node in proof["path"]],
            bytes.fromhex(proof["rootHash"]),
        )
        assert proof["treeSize"] <= checkpoint["treeSize"]
    earlier = found["nodes"][0]["proof"]
    later = (await _later(auditor, earlier["treeSize"]))["auditCheckpoint"]
    old, new = earlier["treeSize"], later["treeSize"]
    query = "query ($a: Int!, $b: Int!) { auditConsistency(from: $a, to: $b) }"
    path = (await auditor.ask(query, a=old, b=new))["auditConsistency"]
    assert verify_consistency(
        old,
        new,
        bytes.fromhex(earlier["rootHash"]),
        bytes.fromhex(later["rootHash"]),
        [bytes.fromhex(node) for node in path],
    )
    with pytest.raises(Refused) as wrong:
        await auditor.ask(query, a=1, b=10_000)
    assert wrong.value.code == "NOT_FOUND"


async def test_the_log_is_filtered_and_paged(api: Api) -> None:
    await publish_welcome(api)
    auditor = api.persona("auditor")
    about = {"resources": ["flow:sales/welcome"]}
    await _log(auditor, 4, filter=about)
    first = await _log(auditor, 3, filter=about, first=3)
    assert first["pageInfo"]["hasNextPage"]
    rest = await _log(auditor, 1, filter=about, after=first["pageInfo"]["endCursor"])
    assert rest["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "endCursor": rest["pageInfo"]["endCursor"],
    }
    assert [e["action"] for e in rest["nodes"]] == ["catalog:flow:register"]
    narrowed = await _log(
        auditor, 2, filter={**about, "actors": ["coe-lead"], "outcomes": ["ALLOWED"]}
    )
    assert {event["actor"] for event in narrowed["nodes"]} == {"coe-lead"}
    none = {**about, "before": first["nodes"][-1]["at"], "after": first["nodes"][0]["at"]}
    for wrong in ({"filter": none}, {"after": "nonsense"}):
        with pytest.raises(Refused) as refused:
            await auditor.ask(LOG, **wrong)
        assert refused.value.code == "INVALID"
    with pytest.raises(Refused) as refused:
        await auditor.ask(LOG, after="nonsense")
    assert refused.value.code == "INVALID"


async def test_the_log_and_its_detail_need_permissions(api: Api) -> None:
    await publish_welcome(api)
    lead, auditor = api.persona("coe-lead"), api.persona("auditor")
    about = {"actions": ["catalog:flow:register"]}
    seen = (await _log(lead, filter=about))["nodes"][0]
    assert seen["detail"] is None
    assert (await _log(auditor, filter=about))["nodes"][0]["detail"]["kind"] == "CENTRAL"
    for query in (LOG, CHECKPOINT, "{ verifyAudit { ok } }"):
        with pytest.raises(Refused) as refused:
            await api.persona("sales-owner").ask(query)
        assert refused.value.code == "FORBIDDEN"
    node = "query ($id: ID!) { node(id: $id) { ... on AuditEvent { action } } }"
    assert (await auditor.ask(node, id=seen["id"]))["node"] == {"action": "catalog:flow:register"}
    with pytest.raises(Refused):
        await api.persona("sales-owner").ask(node, id=seen["id"])


async def test_the_reason_of_an_actor_needs_a_permission_and_that_of_a_refusal_does_not(
    api: Api,
) -> None:
    await publish_welcome(api)
    owner, auditor = api.persona("sales-owner"), api.persona("auditor")
    given = {"flow": "sales/welcome", "input": {"name": "Jane"}}
    run = (await owner.do("startRun", "StartRunInput", "run { id }", **given))["run"]
    stop = {"run": run["id"], "reason": "Jane called"}
    with pytest.raises(Refused):
        await api.persona("warehouse-developer").do("cancelRun", "RunInput", "run { id }", **stop)
    await owner.do("cancelRun", "RunInput", "run { id }", **stop)
    with pytest.raises(Refused):
        await owner.do(
            "review",
            "ReviewInput",
            "entry { ref }",
            ref="sales/welcome@1.0.0",
            approve=True,
            comment="mine",
        )
    refused = {"actions": ["catalog:flow:review"], "outcomes": ["DENIED"]}
    cancelled = {"actions": ["runs:run:cancel"], "actors": ["sales-owner"]}
    for persona, reason in (("coe-lead", None), ("auditor", "Jane called")):
        asker = api.persona(persona)
        assert (await _log(asker, filter=cancelled))["nodes"][0]["reason"] == reason
        assert "Four eyes" in (await _log(asker, filter=refused))["nodes"][0]["reason"]
    read = await _log(auditor, filter={"actions": ["audit:log:read_detail"]})
    assert {event["actor"] for event in read["nodes"]} == {"auditor"}


async def test_reading_the_log_is_recorded(api: Api) -> None:
    auditor = api.persona("auditor")
    await auditor.ask(LOG)
    read = await _log(auditor, filter={"actions": ["audit:log:read"]})
    assert read["nodes"][0]["actor"] == "auditor"
    assert read["nodes"][0]["rule"] == "p, audit/auditor, *, audit:read, *, allow"


async def test_the_verification_names_a_changed_row(api: Api) -> None:
    await publish_welcome(api)
    auditor = api.persona("auditor")
    event = (await _log(auditor, filter={"actions": ["catalog:flow:publish"]}))["nodes"][0]
    verify = "{ verifyAudit { ok checkedEvents treeSize rootHash problems { code path message } } }"
    whole = (await auditor.ask(verify))["verifyAudit"]
    assert whole["ok"], whole
    assert whole["checkedEvents"] == whole["treeSize"] > event["index"]
    async with api.services.platform.database.session() as session:
        await session.execute(text("ALTER TABLE audit_events DISABLE TRIGGER USER"))
        await session.execute(
            text("UPDATE audit_events SET actor = 'sales-owneR' WHERE position = :at"),
            {"at": event["index"]},
        )
        await session.commit()
    broken = (await auditor.ask(verify))["verifyAudit"]
    assert not broken["ok"]
    assert f"/events/{event['index']}" in {problem["path"] for problem in broken["problems"]}


async def test_a_part_of_the_log_is_exported_with_proofs_that_stand(
    api: Api, tmp_path: Path
) -> None:
    await publish_welcome(api)
    auditor = api.persona("auditor")
    await _log(auditor, 4, filter={"resources": ["flow:sales/welcome"]})
    bundle = tmp_path / "part.jsonl"

    async def part(**wanted: Any) -> list[dict[str, Any]]:
        async with api.client(auditor.token) as client:
            response = await client.get("/audit/bundle", params=wanted)
        assert response.status_code == 200, response.text
        bundle.write_bytes(response.content)
        verified = verify_bundle(bundle, vkey=api.services.platform.signer.vkey)
        assert verified.ok, verified.problems
        lines = [json.loads(line) for line in response.content.splitlines()]
        return [line["event"] for line in lines if line["type"] == "event"]

    whole = await part(resources="sales/welcome")
    assert len(whole) >= 4
    between = await part(
        resources="flow:sales/welcome", after=whole[1]["at"], before=whole[3]["at"]
    )
    assert [each["position"] for each in between] == [each["position"] for each in whole[1:3]]
    assert [each["action"] for each in await part(actions="flow:publish")] == [
        "catalog:flow:publish"
    ]
    for wrong, path in (
        ({"afterr": "x"}, "/afterr"),
        ({"after": "yesterday"}, "/after"),
        ({"outcomes": "NO"}, "/outcomes"),
        ({"actions": "flow:publsh"}, "/filter/actions/0"),
    ):
        async with api.client(auditor.token) as client:
            refused = await client.get("/audit/bundle", params=wrong)
        assert refused.status_code == 422, wrong
        [problem] = refused.json()["errors"][0]["extensions"]["problems"]
        assert problem["path"] == path


async def test_an_exported_bundle_is_verified_offline(api: Api, tmp_path: Path) -> None:
    await publish_welcome(api)
    auditor = api.persona("auditor")
    await _log(auditor, 4, filter={"resources": ["flow:sales/welcome"]})
    async with api.client("demo-auditor") as client:
        response = await client.get("/audit/bundle")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/jsonl")
    bundle = tmp_path / "audit.jsonl"
    bundle.write_bytes(response.content)
    key = api.services.platform.signer.vkey
    assert verify_bundle(bundle, vkey=key).ok
    changed = response.content.replace(b"sales-owner", b"sales-owneR", 1)
    bundle.write_bytes(changed)
    assert not verify_bundle(bundle, vkey=key).ok
    async with api.client("demo-sales-owner") as client:
        refused = await client.get("/audit/bundle")
    assert refused.status_code == 403
    assert refused.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    async with api.client() as client:
        assert (await client.get("/audit/bundle")).status_code == 401
    exported = await _log(auditor, filter={"actions": ["audit:log:export"]})
    assert exported["nodes"][0]["actor"] == "auditor"


ACCEPT = """
mutation Accept($from: Long!, $confirmation: String!, $reason: String!) {
  acceptAuditLoss(from: $from, confirmation: $confirmation, reason: $reason) {
    state problems { code path message }
  }
}
"""
LOSSES = "{ auditLosses { state keptSize lostSize checkpoint proposedBy approvedBy } }"


async def test_two_people_accept_a_loss_by_the_api(api: Api, platform: Platform) -> None:
    kept, newest = (
        Checkpoint.sign(platform.signer, size, bytes(32), platform.clock())
        for size in (2**40, 2**41)
    )
    loss = Loss(kept, newest)
    async with platform.database.session() as session:
        await note_loss(session, platform.macs, loss)
        await session.commit()
    lead, auditor = api.persona("coe-lead"), api.persona("auditor")
    given = {"from": 2**40, "reason": "the disk failed"}
    wrong = (await lead.ask(ACCEPT, **given, confirmation="x"))["acceptAuditLoss"]
    assert (wrong["state"], wrong["problems"][0]["path"]) == (None, "/confirmation")
    given["confirmation"] = confirmation_of(platform.macs, loss.id)
    done = [(await who.ask(ACCEPT, **given))["acceptAuditLoss"]["state"] for who in (lead, auditor)]
    assert done == ["PROPOSED", "ACCEPTED"]
    [shown] = (await auditor.ask(LOSSES))["auditLosses"]
    assert (shown["proposedBy"], shown["approvedBy"]) == ("coe-lead", "auditor")
    assert shown["checkpoint"] == newest.note
    assert (shown["keptSize"], shown["lostSize"]) == (2**40, 2**41), "beyond Int of GraphQL"
    async with platform.database.session() as session:
        await session.execute(text("DELETE FROM audit_losses"))
        await session.commit()
