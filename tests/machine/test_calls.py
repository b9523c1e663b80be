"""The command of a service call: team, credentials, and addresses from templates."""

from __future__ import annotations

from typing import Any

from coe.machine.machine import EvaluateJq
from tests.machine.driver import Driver

OAUTH = {
    "oauth2": {
        "authority": "https://{tenant}.login.example",
        "endpoints": {"token": "/realms/{tenant}/token"},
        "grant": "client_credentials",
        "client": {"id": "flows", "secret": "canary-0001"},
    }
}


def http(authentication: Any) -> dict[str, Any]:
    endpoint = {"uri": "https://erp.example", "authentication": authentication}
    return {"call": "http", "with": {"method": "get", "endpoint": endpoint}}


async def test_a_leaf_has_its_team_and_run(evaluate: EvaluateJq):
    [leaf] = await Driver({"do": [{"send": http({"bearer": {"token": "t"}})}]}, evaluate).start()
    assert (leaf.team, leaf.run) == ("tests", "run-1")


async def test_the_authority_of_a_token_is_a_template(evaluate: EvaluateJq):
    run = Driver({"do": [{"send": http(OAUTH)}]}, evaluate)
    [leaf] = await run.start({"tenant": "a/b"})
    policy = leaf.authentication["oauth2"]
    assert policy["authority"] == "https://a%2Fb.login.example"
    assert policy["endpoints"]["token"] == "/realms/a%2Fb/token"
    assert "canary-0001" in leaf.secrets


async def test_a_computed_authority_is_not_a_template(evaluate: EvaluateJq):
    computed = {"oauth2": {**OAUTH["oauth2"], "authority": "${ .where }"}}
    run = Driver({"do": [{"send": http(computed)}]}, evaluate)
    [leaf] = await run.start({"where": "https://login.example/{kept}", "tenant": "a"})
    assert leaf.authentication["oauth2"]["authority"] == "https://login.example/{kept}"


async def test_a_document_has_a_separate_authentication(evaluate: EvaluateJq):
    document = {
        "endpoint": {
            "uri": "https://erp.example/{name}",
            "authentication": {"basic": {"username": "ann", "password": "canary-0002"}},
        }
    }
    arguments = {
        "document": document,
        "operationId": "getOrder",
        "parameters": {"orderId": "${ .id }"},
        "authentication": {"bearer": {"token": "canary-0003"}},
    }
    call = {"call": "openapi", "with": arguments, "output": {"as": "$authorization.scheme"}}
    run = Driver({"do": [{"send": call}]}, evaluate)
    [leaf] = await run.start({"name": "api.json", "id": 7})
    assert leaf.arguments == {
        "document": "https://erp.example/api.json",
        "operationId": "getOrder",
        "parameters": {"orderId": 7},
        "output": "content",
        "redirect": False,
    }
    assert leaf.document_authentication == {"basic": {"username": "ann", "password": "canary-0002"}}
    assert leaf.authentication == {"bearer": {"token": "canary-0003"}}
    assert {"canary-0002", "canary-0003"} <= set(leaf.secrets)
    assert "canary" not in repr(leaf)
    [finished] = await run.done(leaf, {})
    assert finished.outcome.output == "Bearer"


async def test_the_authentication_of_a_document_is_not_that_of_the_call(evaluate: EvaluateJq):
    document = {
        "endpoint": {
            "uri": "https://erp.example/api.json",
            "authentication": {"basic": {"username": "ann", "password": "canary-0002"}},
        }
    }
    arguments = {"document": document, "operationId": "getOrder"}
    call = {"call": "openapi", "with": arguments, "output": {"as": "[$authorization]"}}
    run = Driver({"do": [{"send": call}]}, evaluate)
    [leaf] = await run.start()
    assert leaf.authentication is None
    [finished] = await run.done(leaf, {})
    assert finished.outcome.output == [None]
