"""A job of a CI, and a registered client, use the command line without a stored token."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from coe.audit.models import AuditEvent
from coe.cli import ci
from coe.errors import Unauthenticated, Unavailable
from tests.cli.commands import run
from tests.cli.conftest import Served
from tests.factories.ci_issuer import AUDIENCE, JOB, CiIssuer, ci_issuer
from tests.factories.runs import APPROVAL, central


def _answer(**by_host: httpx.Response | Exception) -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        found = by_host[request.url.host]
        if isinstance(found, Exception):
            raise found
        return found

    return httpx.MockTransport(handle)


GITHUB = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://ci/job?api-version=2.0",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job",
}


@pytest.mark.parametrize(
    ("environment", "answers", "refusal", "said"),
    [
        ({}, {}, Unauthenticated, "id-token: write"),
        (GITHUB, {"ci": httpx.Response(403)}, Unauthenticated, "ci answered 403"),
        (GITHUB, {"ci": httpx.ConnectError("no")}, Unavailable, "ci cannot be reached"),
        ({"COE_ID_TOKEN": "x"}, {"coe": httpx.Response(502)}, Unavailable, "coe answered 502"),
        (
            {"COE_ID_TOKEN": "x"},
            {"coe": httpx.Response(400, json={"error_description": "no trust rule fits"})},
            Unauthenticated,
            "no trust rule fits",
        ),
    ],
)
def test_what_cannot_sign_in_says_why(
    environment: dict[str, str],
    answers: dict[str, Any],
    refusal: type[Exception],
    said: str,
) -> None:
    with pytest.raises(refusal, match=said):
        ci.access_token("https://coe", environment, transport=_answer(**answers))


async def test_flows_are_registered_from_a_ci_without_a_stored_secret(
    served: Served, tmp_path: Path
) -> None:
    with ci_issuer() as issuer:
        _let_teams_trust(served, issuer)
        trusted = await served.coe(
            "finance-lead", "trust", "add", "finance", "ci",
            "--issuer", issuer.url, "--audience", AUDIENCE, "--subject", JOB,
        )  # fmt: skip
        assert trusted.exit_code == 0, trusted.output
        flow = tmp_path / "refund.yaml"
        flow.write_text(
            central("refund", APPROVAL).replace("namespace: sales", "namespace: finance")
        )
        gitlab = {"COE_URL": served.url, "COE_ID_TOKEN": issuer.token()}
        done = await asyncio.to_thread(run, "flow", "register", str(flow), **gitlab)
        assert done.exit_code == 0, done.output
        github = {
            "COE_URL": served.url,
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{issuer.url}/job?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job",
        }
        me = await asyncio.to_thread(run, "-o", "json", "access", "me", **github)
        assert json.loads(me.output)["subject"] == "service:ci/finance", me.output
        kept = await asyncio.to_thread(run, "login", "--ci", "--profile", "job", **github)
        assert "service:ci/finance" in kept.output
        elsewhere = await asyncio.to_thread(
            run, "flow", "register", str(_of_sales(tmp_path)), **gitlab
        )
        assert elsewhere.exit_code == 5, elsewhere.output
        listed = await served.coe("finance-lead", "-o", "json", "trust", "list", "finance")
        [rule] = json.loads(listed.output)["nodes"]
        assert rule["lastSeenAt"] is not None
        ended = await served.coe("finance-lead", "trust", "remove", rule["id"], "--reason", "moved")
        assert ended.exit_code == 0, ended.output
        after = await asyncio.to_thread(run, "access", "me", **gitlab)
        assert after.exit_code == 5
    async with served.platform.database.session() as session:
        events = (await session.scalars(select(AuditEvent))).all()
    registered = [each for each in events if each.action == "catalog:flow:register"]
    assert {(each.actor, each.team, each.outcome) for each in registered} == {
        ("service:ci/finance", "finance", "ALLOWED"),
        ("service:ci/finance", "sales", "DENIED"),
    }


async def test_a_registered_client_uses_the_command_line(served: Served) -> None:
    made = await served.coe(
        "finance-lead", "-o", "json", "client", "create", "finance", "bank", "--scope", "run:read"
    )
    client = json.loads(made.output)
    given = {
        "COE_URL": served.url,
        "COE_CLIENT_ID": client["clientId"],
        "COE_CLIENT_SECRET": client["secret"],
    }
    me = await asyncio.to_thread(run, "-o", "json", "access", "me", **given)
    assert json.loads(me.output)["subject"] == "service:bank/finance", me.output
    listed = await served.coe("auditor", "client", "list", "finance")
    assert "bank" in listed.output
    done = await served.coe("finance-lead", "client", "revoke", client["id"], "--reason", "old")
    assert done.exit_code == 0, done.output
    assert (await asyncio.to_thread(run, "access", "me", **given)).exit_code == 5


async def test_a_worker_enrols_by_the_command_line(served: Served, tmp_path: Path) -> None:
    code = (await served.coe("warehouse-lead", "worker", "code", "warehouse")).stdout.split()[0]
    given = {"COE_URL": served.url, "COE_DATA_DIR": str(tmp_path / "worker")}
    done = await asyncio.to_thread(
        run, "worker", "enrol", "warehouse", "--code", code, "--name", "shelf", **given
    )
    assert done.exit_code == 0, done.output
    again = await asyncio.to_thread(
        run, "worker", "enrol", "warehouse", "--code", code, "--name", "shelf", **given
    )
    assert again.exit_code == 5, again.output
    listed = await served.coe("warehouse-lead", "-o", "json", "worker", "list", "warehouse")
    [worker] = json.loads(listed.output)["nodes"]
    assert (worker["name"], worker["enrolledBy"]) == ("shelf", "warehouse-lead")
    assert worker["renewedAt"] is None
    renewed = await asyncio.to_thread(run, "worker", "renew", "warehouse", **given)
    assert renewed.exit_code == 0, renewed.output
    listed = await served.coe("warehouse-lead", "-o", "json", "worker", "list", "warehouse")
    [again] = json.loads(listed.output)["nodes"]
    assert (again["id"], again["renewedAt"] is not None) == (worker["id"], True)
    ended = await served.coe("warehouse-lead", "worker", "revoke", worker["id"], "--reason", "sold")
    assert ended.exit_code == 0, ended.output
    refused = await asyncio.to_thread(run, "worker", "renew", "warehouse", **given)
    assert (refused.exit_code, "it was revoked" in refused.stderr) == (5, True), refused.output


def _let_teams_trust(served: Served, issuer: CiIssuer) -> None:
    """Name the issuer in the settings of the running server, as an operator does before it runs."""
    settings = served.platform.settings.model_copy(update={"ci_issuers": (issuer.url,)})
    served.platform.settings = settings


def _of_sales(folder: Path) -> Path:
    path = folder / "other.yaml"
    path.write_text(central("refund", APPROVAL))
    return path
