"""A real installation, part by part: no demo, and no engine yet."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from coe.embedded_postgres import EmbeddedPostgres
from tests.factories.ports import free_port

DATABASE = "parts"
ME = "{ me { subject roles } engine { name state detail } }"


def coe(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "coe.cli.main", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def installation(
    postgres: EmbeddedPostgres,
    template_database: str,
    keys_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """The environment of an installation whose Prefect server is not there."""
    asyncio.run(_copy(postgres, template_database))
    data = tmp_path_factory.mktemp("parts") / "data"
    shutil.copytree(keys_folder, data / "keys")
    return {
        "PATH": os.environ["PATH"],
        "COE_DATABASE_URL": postgres.url(DATABASE),
        "COE_DATA_DIR": str(data),
        "COE_PORT": str(free_port()),
        "COE_PREFECT_URL": "http://127.0.0.1:9/api",
        "COE_PREFECT_AUTH": "coe:nobody-listens",
        "COE_DEMO": "true",  # no setting: a production process has no personas
    }


async def _copy(postgres: EmbeddedPostgres, template: str) -> None:
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute(f'CREATE DATABASE "{DATABASE}" TEMPLATE "{template}"')
    await connection.close()


@pytest.fixture(scope="module")
def served(installation: dict[str, str]) -> Iterator[str]:
    """The address of its API."""
    url = f"http://127.0.0.1:{installation['COE_PORT']}"
    process = subprocess.Popen(
        [sys.executable, "-m", "coe.cli.main", "up"],
        env=installation,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/healthz", trust_env=False).is_success:
                break
        except httpx.HTTPError:
            time.sleep(0.1)
    yield url
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) in {0, -signal.SIGTERM}


def ask(url: str, token: str) -> dict[str, Any]:
    answer = httpx.post(
        f"{url}/graphql",
        json={"query": ME},
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=30,
    )
    result: dict[str, Any] = answer.json()
    return result


def test_each_part_starts_from_its_settings(installation: dict[str, str], served: str) -> None:
    loaded = coe(installation, "content", "load")
    assert "template coe/order-to-cash@1.1.0: new" in loaded
    assert "unchanged" in coe(installation, "content", "load")
    first = ("token", "issue", "coe-lead", "--name", "first", "--operator")
    issued = coe(installation, *first, "--output", "json")
    token, ident = json.loads(issued)["token"], json.loads(issued)["id"]
    data = ask(served, token)["data"]
    assert data["me"]["subject"] == "coe-lead"
    assert data["engine"]["state"] in {"STARTING", "GONE"}
    listed = coe(installation | {"COE_URL": served, "COE_TOKEN": token}, "template", "list")
    assert "coe/order-to-cash" in listed
    mine = coe(installation | {"COE_URL": served, "COE_TOKEN": token}, "token", "list")
    assert ident in mine


def test_a_persona_cannot_sign_in_to_a_production_process(served: str) -> None:
    refused = ask(served, "demo-coe-lead")
    assert refused["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_the_demo_listens_on_loopback_only(installation: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coe.cli.main", "demo-api"],
        env=installation | {"COE_HOST": "0.0.0.0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "loopback" in done.stderr
    assert "Traceback" not in done.stderr
