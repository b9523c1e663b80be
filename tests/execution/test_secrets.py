"""Secrets: from the operator's file to services, and to nothing that is kept or logged."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coe.errors import Invalid, errors_in
from coe.execution.advance import Finished, advance
from coe.execution.open_runtime import open_runtime
from coe.json_types import JSON
from coe.language.names.references import NameKind
from coe.runs.models import RunState
from coe.runs.sealing import TeamSealer
from coe.runs.tables import JOURNAL
from coe.secrets import SecretStore
from coe.settings import Settings
from coe.work import Platform
from tests.factories.http_service import serving
from tests.factories.runs import central, publish, start

USER, WORD, TOKEN, CLIENT = "canary-user-1", "canary word/2", "canary-token-3", "canary-client-4"
FRESH = "canary-fresh-5"
PAIR = base64.b64encode(f"{USER}:{WORD}".encode()).decode()
CANARIES = [USER, WORD, TOKEN, CLIENT, FRESH, PAIR, quote(WORD, safe=""), WORD.replace(" ", "+")]

DO = """
  - basic:
      call: http
      with:
        method: post
        endpoint: {uri: "https://erp.example/mirror", authentication: {basic: {use: login}}}
        output: response
      timeout: {after: PT1H}
  - digest:
      call: http
      with:
        method: get
        endpoint: {uri: "https://erp.example/mirror", authentication: {digest: {use: login}}}
        output: raw
      timeout: {after: PT1H}
  - token:
      call: http
      with:
        method: get
        endpoint: {uri: "https://erp.example/mirror", authentication: {oauth2: {use: oauth}}}
        output: raw
      timeout: {after: PT1H}
  - taken:
      input: {from: '${ {given: $secrets.bearer.token, more: {($secrets.bearer.token): 1}} }'}
      call: http
      with:
        method: put
        endpoint: 'https://erp.example/mirror'
        headers: {x-plain: '${ .given }'}
        query: {q: '${ .given }'}
        body: '${ . }'
        output: response
      timeout: {after: PT1H}
  - operation:
      call: openapi
      with:
        document:
          endpoint: {uri: "https://erp.example/api", authentication: {basic: {use: login}}}
        operationId: mirror
        authentication: {bearer: {use: bearer}}
      timeout: {after: PT1H}
  - refused:
      try:
        - call:
            call: http
            with:
              method: get
              endpoint: {uri: "https://erp.example/no", authentication: {bearer: {use: bearer}}}
            timeout: {after: PT1H}
      catch:
        as: error
        do:
          - keep:
              set: {detail: '${ $error.detail }'}
  - message:
      input: {from: '${ {given: $secrets.bearer.token} }'}
      try:
        - send:
            call: notify:1@default
            with: {channel: none, to: '${ .given }', subject: '${ .given }', body: '${ .given }'}
      catch:
        do:
          - asked:
              set: {was: '${ . }'}
"""
SECRETS = {
    "login": {"teams": ["sales"], "value": {"username": USER, "password": WORD}},
    "bearer": {"teams": ["*"], "value": {"token": TOKEN}},
    "oauth": {
        "teams": ["sales"],
        "value": {
            "authority": "https://erp.example",
            "grant": "client_credentials",
            "client": {"id": "flows", "secret": CLIENT},
        },
    },
}


async def mirror(request: Request) -> Response:
    """Give back all that came."""
    body = (await request.body()).decode()
    seen = {"headers": dict(request.headers), "query": request.url.query, "body": body}
    if request.headers.get("authorization") is None and request.method == "GET":
        challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
        return Response(status_code=401, headers={"www-authenticate": challenge})
    request.app.state.seen.append(seen)
    return JSONResponse(seen, headers={"x-back": request.headers.get("authorization", "")})


async def refuse(request: Request) -> Response:
    given = request.headers.get("authorization")
    body = json.dumps({"title": f"No {given}", "detail": f"not with {given}"})
    return Response(body, 403, media_type="application/problem+json")


async def token(request: Request) -> Response:
    request.app.state.seen.append({"asked": (await request.body()).decode()})
    return JSONResponse({"access_token": FRESH, "expires_in": 60})


async def api(request: Request) -> Response:
    operation = {"operationId": "mirror"}
    return JSONResponse({"openapi": "3.1.0", "paths": {"/mirror": {"get": operation}}})


@pytest.fixture
async def service() -> AsyncIterator[tuple[str, Starlette]]:
    routes = [
        Route("/mirror", mirror, methods=["GET", "POST", "PUT"]),
        Route("/no", refuse),
        Route("/oauth2/token", token, methods=["POST"]),
        Route("/api", api),
    ]
    app = Starlette(routes=routes)
    app.state.seen = []
    async with serving(app) as base:
        yield base, app


def write(file: Path, secrets: JSON) -> Path:
    file.write_text(json.dumps({"secrets": secrets}))
    file.chmod(0o600)
    return file


def definition(name: str) -> str:
    text = central(name, DO)
    return text.replace("\ndo:", "\nuse: {secrets: [login, bearer, oauth]}\ndo:", 1)


async def everything(url: str) -> str:
    """Every value of every table as text, bytes in hex and as they are."""
    connection = await asyncpg.connect(url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    kept = []
    for table in tables:
        rows = await connection.fetch(f'SELECT t::text AS row FROM "{table["tablename"]}" AS t')
        kept += [row["row"] for row in rows]
    await connection.close()
    return "\n".join(kept)


async def test_no_kind_of_leaf_leaves_a_secret_behind(  # noqa: PLR0917  # fixtures
    platform: Platform,
    service: tuple[str, Starlette],
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The journal is opened too: a sealed secret is a kept secret."""
    caplog.set_level(logging.DEBUG)
    base, app = service
    settings = platform.settings.model_copy(
        update={
            "resolve": {"erp.example": base},
            "secrets_file": write(tmp_path / "secrets", SECRETS),
        }
    )
    opened = replace(platform, settings=settings)
    await publish(opened, definition("guarded"))
    run = await start(opened, "sales/guarded")
    async with open_runtime(opened) as runtime:
        assert await advance(runtime, run.id) == Finished(RunState.COMPLETED)
    sent = json.dumps(app.state.seen)
    assert all(each in sent for each in (PAIR, TOKEN, CLIENT, FRESH)), "the services had them"
    clear = await opened_journal(opened, run.id)
    assert len(clear) >= 8
    for text in (
        json.dumps(clear),
        await everything(database_url),
        caplog.text,
        *capfd.readouterr(),
    ):
        for canary in CANARIES:
            assert canary not in text
            assert canary.encode().hex() not in text
            for start_ in range(3):
                assert _in_base64(canary, start_) not in text


def _in_base64(text: str, start_: int) -> str:
    """The part of the text's base64 that does not depend on what stands around it."""
    encoded = base64.b64encode(b"x" * start_ + text.encode()).decode()
    return encoded[4 if start_ else 0 : -4]


async def opened_journal(platform: Platform, run_id: object) -> list[JSON]:
    sealer = TeamSealer(platform.keyring, "sales")
    async with platform.database.session() as session:
        rows = await session.execute(select(JOURNAL).where(JOURNAL.c.run_id == run_id))
        return [
            await sealer.open(JOURNAL, f"{run_id}:{row.position}", "payload", row.payload_sealed)
            for row in rows
        ]


async def test_a_secret_of_another_team_is_not_had(
    platform: Platform, service: tuple[str, Starlette], tmp_path: Path
) -> None:
    others = {name: {**each, "teams": ["finance"]} for name, each in SECRETS.items()}
    file = write(tmp_path / "secrets", others)
    settings = platform.settings.model_copy(
        update={"resolve": {"erp.example": service[0]}, "secrets_file": file}
    )
    opened = replace(platform, settings=settings)
    with pytest.raises(Invalid) as refused:  # it is known here, so that it is not even published
        await publish(opened, definition("guarded"))
    assert {each.code for each in errors_in(refused.value.problems)} == {NameKind.SECRET}
    await publish(platform, definition("guarded"))
    run = await start(opened, "sales/guarded")
    async with open_runtime(opened) as runtime:
        assert await advance(runtime, run.id) == Finished(RunState.FAULTED)
    assert service[1].state.seen == []


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = write(tmp_path / "secrets", {"erp": {"teams": ["sales"], "value": "one"}})
    store = SecretStore(file)
    assert store.of("sales") == {"erp": "one"}
    assert store.of("finance") == {}
    write(file, {"erp": {"teams": ["*"], "value": {"newer": 2}}})
    assert store.of("finance") == {"erp": {"newer": 2}}
    assert SecretStore().of("sales") == {}
    assert "newer" not in repr(store)


@pytest.mark.parametrize(
    "text",
    [
        "secrets: [",
        "[]",
        "secrets: {erp: {value: canary}}",
        "secrets: {erp: {teams: [A b], value: canary}}",
    ],
)
def test_a_file_with_errors_gives_no_secret_and_shows_none(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "secrets"
    file.write_text(text)
    file.chmod(0o600)
    assert SecretStore(file).of("sales") == {}
    assert "no flow has a secret" in caplog.text
    assert "canary" not in caplog.text


def test_a_file_that_others_can_read_gives_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path / "secrets", {"erp": {"teams": ["sales"], "value": "canary"}})
    file.chmod(0o640)
    assert SecretStore(file).of("sales") == {}
    assert "chmod 600" in caplog.text
    assert SecretStore(tmp_path / "none").of("sales") == {}


def test_the_settings_name_the_file() -> None:
    assert Settings(secrets_file=Path("/run/secrets/flows")).secrets_file is not None
