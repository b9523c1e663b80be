"""A worker renews its key: it stays the same worker, and nothing of the old key counts any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import col

from coe import worker
from coe.access.machine_models import WorkerKey
from coe.access.machines import name_of_key
from coe.audit.models import AuditEvent
from coe.crypto import jose
from coe.demo.api import create_demo_app
from coe.errors import NotFound, Unauthenticated, Unavailable
from coe.identity.worker_identity import (
    AccessTokens,
    WorkerIdentity,
    enrol,
    identity_file,
    is_due,
    read_identity,
    renew,
)
from coe.identity.workers import KEY_LIFE
from coe.settings import Settings
from coe.work import Platform, RequestInfo
from tests.factories.machines import enrolment_code


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_demo_app(settings.model_copy(update={"loops": False}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8700"
        ) as client,
    ):
        yield client


@pytest.fixture
async def first(http: httpx.AsyncClient, platform: Platform, tmp_path: Path) -> WorkerIdentity:
    """A worker that has enrolled, with its identity in the folder of the test."""
    code = await enrolment_code(platform, "warehouse")
    return await enrol(http, tmp_path, "warehouse", code=code, name="one")


async def _row(platform: Platform) -> WorkerKey:
    async with platform.database.session() as session:
        return (await session.scalars(select(WorkerKey))).one()


async def test_it_stays_the_same_worker_with_another_key(
    http: httpx.AsyncClient, first: WorkerIdentity, platform: Platform, tmp_path: Path
) -> None:
    before = await _row(platform)
    old = AccessTokens(first, http)
    token = await old.current()
    made = await renew(http, tmp_path, "warehouse")
    row = await _row(platform)
    assert (made.credential, made.private != first.private) == (first.credential, True)
    assert read_identity(identity_file(tmp_path, "warehouse")) == made
    assert [each.name for each in (tmp_path / "workers").iterdir()] == ["warehouse.json"]
    assert (row.id, row.enrolled_at, row.enrolled_by) == (
        before.id,
        before.enrolled_at,
        before.enrolled_by,
    )
    assert row.renewed_at is not None
    assert row.expires_at == row.renewed_at + KEY_LIFE
    # the new key signs in; the old one and its token are worth nothing
    actor = await platform.authenticate(await AccessTokens(made, http).current(), RequestInfo())
    assert actor.identity == first.credential
    with pytest.raises(Unauthenticated):
        await platform.authenticate(token, RequestInfo())
    old.forget(token)
    with pytest.raises(Unauthenticated, match="did not sign"):
        await old.current()
    async with platform.database.session() as session:
        wanted = col(AuditEvent.action) == "access:worker:renew"
        event = (await session.scalars(select(AuditEvent).where(wanted))).one()
    assert (event.actor, event.resource) == ("service:worker/warehouse", first.credential)


async def test_one_whose_answer_was_lost_sends_the_same_key_again(
    http: httpx.AsyncClient, first: WorkerIdentity, tmp_path: Path
) -> None:
    async def lose(request: httpx.Request) -> httpx.Response:
        await http.post(request.url.path, content=request.content, headers=request.headers)
        raise httpx.ReadTimeout("lost")

    async with httpx.AsyncClient(
        transport=httpx.MockTransport(lose), base_url=http.base_url
    ) as broken:
        with pytest.raises(Unavailable):
            await renew(broken, tmp_path, "warehouse")
    assert read_identity(identity_file(tmp_path, "warehouse")) == first
    assert is_due(tmp_path, "warehouse", 90)
    made = await renew(http, tmp_path, "warehouse")
    assert not is_due(tmp_path, "warehouse", 90)
    await AccessTokens(made, http).current()


async def test_workers_that_share_the_file_go_on_with_the_new_key(
    http: httpx.AsyncClient, first: WorkerIdentity, tmp_path: Path
) -> None:
    other = AccessTokens(first, http, identity_file(tmp_path, "warehouse"))
    token = await other.current()
    both = await asyncio.gather(*(renew(http, tmp_path, "warehouse") for _ in range(2)))
    assert both[0] == both[1]
    other.forget(token)
    assert await other.current() != token


async def test_a_worker_renews_an_old_key_by_itself(
    http: httpx.AsyncClient,
    first: WorkerIdentity,
    tmp_path: Path,
    platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "RENEWAL_SECONDS", 0.01)
    given = Settings(data_dir=tmp_path, worker_key_days=1e-9)
    tokens = AccessTokens(first, http)
    assert is_due(tmp_path, "warehouse", given.worker_key_days)
    assert not is_due(tmp_path, "warehouse", 90)
    keeping = asyncio.create_task(worker._keep_renewed(given, "warehouse", http, tokens))
    seen = {name_of_key((await _row(platform)).public_key)}
    while len(seen) < 3:
        await asyncio.sleep(0.01)
        seen.add(name_of_key((await _row(platform)).public_key))
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    kept = read_identity(identity_file(tmp_path, "warehouse"))
    assert kept is not None
    while is_due(tmp_path, "warehouse", 90):  # it was stopped in the midst of one
        tokens.use(await renew(http, tmp_path, "warehouse"))
    assert await tokens.current()


async def test_a_worker_whose_answer_was_lost_tries_again_at_once_and_not_in_an_hour(
    http: httpx.AsyncClient,
    first: WorkerIdentity,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost: list[str] = []
    pauses: list[float] = []

    async def lose_two(request: httpx.Request) -> httpx.Response:
        given = {"content": request.content, "headers": request.headers}
        answer = await http.post(request.url.path, **given)
        if len(lost) < 2:
            lost.append(request.url.path)
            raise httpx.ReadTimeout("lost")
        return httpx.Response(answer.status_code, content=answer.content)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if seconds == worker.RENEWAL_SECONDS:
            raise asyncio.CancelledError

    monkeypatch.setattr(worker.asyncio, "sleep", sleep)
    given = Settings(data_dir=tmp_path, worker_key_days=1e-9)
    async with httpx.AsyncClient(
        transport=httpx.MockTransport(lose_two), base_url=http.base_url
    ) as broken:
        tokens = AccessTokens(first, broken, identity_file(tmp_path, "warehouse"))
        with pytest.raises(asyncio.CancelledError):
            await worker._keep_renewed(given, "warehouse", broken, tokens)
        assert pauses == [*worker.RENEWAL_PAUSES[:2], worker.RENEWAL_SECONDS]
        assert await tokens.current()


async def test_a_begun_renewal_is_finished_before_the_worker_forwards(
    first: WorkerIdentity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    async def renewed(*_: object) -> WorkerIdentity:
        done.append("renewed")
        return first

    class Reached(Exception):
        pass

    def forwarding(*_: object) -> None:
        done.append("forwards")
        raise Reached

    monkeypatch.setattr(worker, "renew", renewed)
    monkeypatch.setattr(worker, "forwarding", forwarding)
    file = identity_file(tmp_path, "warehouse")
    for begun in (False, True):
        if begun:
            file.with_name("warehouse.renewing.json").touch(0o600)
        done.clear()
        with pytest.raises(Reached):
            await worker.run_team_worker(Settings(data_dir=tmp_path), "warehouse")
        assert done == (["renewed", "forwards"] if begun else ["forwards"])


def test_a_key_of_unknown_age_is_due(tmp_path: Path) -> None:
    assert not is_due(tmp_path, "warehouse", 90)
    identity = WorkerIdentity("http://x", "warehouse", jose.new_private_key(), "worker:1", "x")
    file = identity_file(tmp_path, "warehouse")
    file.parent.mkdir()
    file.touch(0o600)
    file.write_text(
        f'{{"url": "http://x", "team": "warehouse", "private": "{identity.private.hex()}"}}'
    )
    assert is_due(tmp_path, "warehouse", 90)


async def test_without_a_key_there_is_nothing_to_renew(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="enrol this worker first"):
        await renew(http, tmp_path, "warehouse")


async def test_an_expired_key_is_not_renewed(
    http: httpx.AsyncClient, first: WorkerIdentity, platform: Platform, tmp_path: Path
) -> None:
    row = await _row(platform)
    row.expires_at -= KEY_LIFE + timedelta(days=1)
    row.mac = platform.machines.mac(row)
    async with platform.database.session() as session:
        await session.merge(row)
        await session.commit()
    with pytest.raises(Unauthenticated, match="it expired"):
        await renew(http, tmp_path, "warehouse")
    assert replace(first) == read_identity(identity_file(tmp_path, "warehouse"))
