"""The chart, run: installed on an empty database, used, rolled over under load, ended in order."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from coe.embedded_postgres import EmbeddedPostgres
from coe.engines.prefect_server import make_encryption_key
from coe.installation.keys import write_keys
from coe.settings import Settings
from tests.helm.chart import Manifest, changed, render
from tests.helm.podlet.image import Image, require_tools
from tests.helm.podlet.kubelet import Kubelet, hook_of
from tests.helm.podlet.network import relay

pytestmark = [pytest.mark.more, pytest.mark.timeout(900)]

AUTH = "coe:" + "s3cret" * 4
PLACES = {
    "databaseUrl": ("database", "url"),
    "kek": ("keys", "kek"),
    "mac": ("keys", "mac"),
    "signing": ("keys", "signing"),
    "prefectAuth": ("prefect", "auth"),
    "prefectDatabaseUrl": ("prefect", "url"),
    "prefectEncryptionKey": ("prefect", "key"),
}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    require_tools()
    memory = Path("/dev/shm")  # noqa: S108  # the folder that is made there is its own
    room = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    folder = Path(tempfile.mkdtemp(prefix="coe-image-", dir=memory if room else None))
    made = Image(folder)
    try:
        made.build()
        yield made
    finally:
        made.remove()
        shutil.rmtree(folder, ignore_errors=True)


def values(host: str) -> dict[str, Any]:
    """The values of the release: everything but Redis."""
    few = {"replicas": 1}
    return {
        "config": {
            "COE_PUBLIC_URL": "https://coe.acme.example",
            "COE_TRUSTED_PROXIES": [f"{host}/32"],
            "COE_LINGER_SECONDS": 0.2,
        },
        "secrets": {name: {"name": at, "key": key} for name, (at, key) in PLACES.items()},
        "defaults": {"minReadySeconds": 1, "drainDelaySeconds": 1},
        "gateway": few,
        "centralWorker": few,
        "loops": few,
    }


@pytest.fixture
async def kubelet(
    image: Image, postgres: EmbeddedPostgres, tmp_path: Path
) -> AsyncIterator[Kubelet]:
    """A kubelet beside an empty database, with the Secrets that an operator has made."""
    await postgres.prepare({"podlet": "postgres", "podlet_prefect": "postgres"})
    write_keys(tmp_path / "keys", Settings().log_origin)
    folder = tmp_path / "kubelet"
    folder.mkdir()
    given: dict[str, dict[str, str]] = {
        "keys": {each.name: each.read_text() for each in (tmp_path / "keys").iterdir()},
    }
    made = Kubelet(image, folder, given)
    host = made.network.host
    given["database"] = {"url": f"postgresql://postgres@{host}:5432/podlet?sslmode=disable"}
    given["prefect"] = {
        "auth": AUTH,
        "key": make_encryption_key(),
        "url": f"postgresql+asyncpg://postgres@{host}:5432/podlet_prefect",
    }
    socket = Path(postgres.url("x").partition("host=")[2]) / ".s.PGSQL.5432"
    async with made, relay(host, 5432, lambda: str(socket)):
        yield made


def release(kubelet: Kubelet, *changes: dict[str, Any]) -> list[Manifest]:
    return render(changed(values(kubelet.network.host), *changes))


CONFINED = """
import json, subprocess
from pathlib import Path
from coe.language.expressions import jq_process
def status(pid):
    lines = dict(l.split(":", 1) for l in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.strip() for name, value in lines.items()}
command = jq_process.worker_command(2**29, 5)
worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}, cwd="/")
worker.stdin.write(b'{"names":[],"programs":[".a + 1"]}\\n{"v":{},"i":{"a":1}}\\n')
worker.stdin.flush()
answer = worker.stdout.readline().decode()
found = {"own": status("self"), "worker": status(worker.pid), "answer": json.loads(answer)}
try:
    Path("/opt/coe/x").write_text("x")
except OSError as error:
    found["write"] = error.strerror
print(json.dumps(found))
"""


async def test_a_release_is_installed_used_and_rolled_over_without_an_error(
    kubelet: Kubelet,
) -> None:
    manifests = release(kubelet)
    await kubelet.install(manifests)

    confined = json.loads(await _python(kubelet, "central-worker", CONFINED))
    assert confined["answer"] == [{"r": [2]}]
    assert confined["write"] == "Read-only file system"
    for each in (confined["own"], confined["worker"]):
        assert each["Uid"].split() == ["10001"] * 4
        assert (each["NoNewPrivs"], each["Seccomp"]) == ("1", "2")
        assert (int(each["CapEff"], 16), int(each["CapBnd"], 16)) == (0, 0)
    filters = [int(confined[who]["Seccomp_filters"]) for who in ("own", "worker")]
    assert filters == [1, 2]  # that of the pod, and in the process of jq its own beside it

    test = next(each for each in manifests if hook_of(each) == "test")
    reached = await kubelet.complete(test)
    assert "WebSocket opens" in reached.log

    await _roll_over(kubelet)


async def _roll_over(kubelet: Kubelet) -> None:
    """Replace every pod by one of another image while requests are sent all the time."""
    before = {pod.name for pod in kubelet.pods}
    command = ("/opt/coe/bin/coe", "token", "issue", "coe-lead", "--name", "first", "--operator")
    token = (await kubelet.exec("api", *command)).split()[0]
    answers: Counter[str] = Counter()
    over = asyncio.Event()
    sending = asyncio.create_task(_send(kubelet, token, answers, over))
    try:
        await kubelet.install(release(kubelet, {"image": {"tag": "next"}}))
    finally:
        over.set()
        await sending
    assert not before & {pod.name for pod in kubelet.pods}
    assert set(answers) == {"answered"}, answers
    assert answers["answered"] > 20
    replaced = [pod for pod in kubelet.ended if pod.name in before]
    assert {pod.name: pod.process.returncode for pod in replaced if pod.process} == dict.fromkeys(
        before, 0
    )


async def _send(kubelet: Kubelet, token: str, answers: Counter[str], over: asyncio.Event) -> None:
    """Ask the API by its Service, as a proxy does that keeps its connections."""
    url = f"http://{kubelet.names['rel-coe-api']}/graphql"
    headers = {"Authorization": f"Bearer {token}", "Host": "coe.acme.example"}
    query = {"query": "{ me { __typename } }"}
    async with httpx.AsyncClient(trust_env=False, timeout=20, headers=headers) as client:
        while not over.is_set():
            try:
                answer = await client.post(url, json=query)
                good = answer.is_success and "errors" not in answer.json()
                answers["answered" if good else f"{answer.status_code} {answer.text}"] += 1
            except httpx.HTTPError as error:
                answers[repr(error)] += 1
            await asyncio.sleep(0.02)


async def _python(kubelet: Kubelet, component: str, program: str) -> str:
    return await kubelet.exec(component, "/opt/coe/bin/python", "-I", "-c", program)
