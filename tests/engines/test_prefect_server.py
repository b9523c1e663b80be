from __future__ import annotations

import os
import stat
from pathlib import Path

import httpx
import pytest

from coe.engines.prefect_server import (
    PrefectServer,
    kept_secret,
    make_auth_string,
    wait_until_healthy,
    worker_environment,
)
from coe.errors import Unavailable
from coe.secret_files import SecretFileRefused
from tests.factories.ports import free_port


def test_a_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "auth"
    first = kept_secret(path, make_auth_string)
    assert kept_secret(path, make_auth_string) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(SecretFileRefused):
        kept_secret(path, make_auth_string)


def test_the_environment_sends_nothing_home_and_inherits_no_setting(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    monkeypatch.setenv("PREFECT_API_URL", "https://api.prefect.cloud/api")
    monkeypatch.setenv("COE_TOKEN", "coe_secret")
    server = PrefectServer(tmp_path / "home", "postgresql://u@/prefect?host=/s", "a:b", port=4711)
    environment = server.environment()
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:4711/api"
    assert environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"].startswith("postgresql+asyncpg://")
    assert "COE_TOKEN" not in environment
    assert environment["PATH"] == os.environ["PATH"]
    assert (
        environment["PREFECT_SERVER_ENCRYPTION_KEY"]
        == server.environment()["PREFECT_SERVER_ENCRYPTION_KEY"]
    )


def test_a_worker_logs_nothing_to_prefect_and_starts_no_server(tmp_path: Path) -> None:
    environment = worker_environment(api_url="http://x/api", auth="a:b", home=tmp_path / "home")
    assert environment["PREFECT_LOGGING_TO_API_ENABLED"] == "false"
    assert environment["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "false"
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


async def test_waiting_for_a_server_that_is_not_there_ends() -> None:
    with pytest.raises(Unavailable):
        await wait_until_healthy(f"http://127.0.0.1:{free_port()}/api", patience=0.5)


async def test_without_its_auth_string_the_server_refuses_everything(
    prefect: PrefectServer,
) -> None:
    async with httpx.AsyncClient(base_url=prefect.api_url, trust_env=False) as stranger:
        assert (await stranger.get("/health")).status_code == 200
        for path in ("/admin/version", "/admin/settings", "/work_pools/x", "/csrf-token?client=x"):
            assert (await stranger.get(path)).status_code == 401, path
        assert (await stranger.post("/flow_runs/filter", json={})).status_code in {401, 403}
