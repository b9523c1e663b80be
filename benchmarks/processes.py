"""The processes that benchmarks run, and how they are published in a separate database."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from coe import content
from coe.access.actor import Actor
from coe.access.load import load_access_files
from coe.access.signed_policy import SIGNER
from coe.catalog import actions as catalog
from coe.crypto.signing import SigningKey
from coe.db import Database
from coe.installation.keys import write_keys
from coe.settings import Settings
from coe.work import Platform

ROOT: Final = Path(__file__).resolve().parent.parent
START: Final = Actor.of("sales-owner")
REVIEW: Final = Actor.of("coe-reviewer")

_HEAD: Final = """
document:
  dsl: 1.0.3
  namespace: sales
  name: {name}
  version: 1.0.0
  title: A process of the benchmark
  summary: Trivial steps.
  metadata: {{processOwner: sales-owner, dataClass: PERSONAL}}
input:
  schema:
    document: {{type: object, properties: {{customer: {{type: string}}}}, required: [customer]}}
do:
- all:
    timeout: {{after: PT1H}}
    do:
"""

_STEP: Final = """
- {name}:
    call: http
    with: {{method: post, endpoint: https://erp.example.com/step, body: '${{ . }}'}}"""


def sequence(steps: int) -> str:
    """So many trivial calls, one after the other; each is given the output of the one before."""
    return _process(f"sequence-{steps}", _steps("step", steps))


def loop(times: int, *, steps: int = 1) -> str:
    """Trivial calls in a loop."""
    inside = _in(_steps("step", steps))
    items = f"{{each: item, in: '${{ [range({times})] }}'}}"
    return _process(f"loop-{times}-{steps}", f"\n- loop:\n    for: {items}\n    do:{inside}")


def fork(branches: int) -> str:
    """So many branches at once, each with one trivial call."""
    inside = _in("\nbranches:" + _in(_steps("branch", branches), 2))
    return _process(f"fork-{branches}", "\n- split:\n    fork:" + _in(inside, 2))


def _process(name: str, tasks: str) -> str:
    return _HEAD.format(name=name).rstrip() + _in(tasks) + "\n"


def _steps(name: str, number: int) -> str:
    return "".join(_STEP.format(name=f"{name}{place}") for place in range(number))


def _in(text: str, columns: int = 4) -> str:
    return text.replace("\n", "\n" + " " * columns)


async def published(platform: Platform, manifest: str) -> str:
    """Bring a process from its manifest to `live`; gives its exact ref."""
    async with platform.work(START) as work:
        saved = await catalog.register_flow(work, manifest)
    ref = saved.version.ref
    async with platform.work(START) as work:
        await catalog.submit_for_review(work, ref)
    async with platform.work(REVIEW) as work:
        await catalog.review(work, ref, approve=True, comment="for the benchmark")
    async with platform.work(REVIEW) as work:
        await catalog.publish(work, ref)
    return ref


def _content(folder: Path) -> Path:
    """The shipped content, without the standard that processes have tests."""
    made = folder / "content"
    for name in content.FOLDERS:
        shutil.copytree(ROOT / name, made / name, dirs_exist_ok=True)
    file = made / "policies" / "standards.yaml"
    file.write_text(file.read_text().replace("  COE060:\n", "  COE060:\n    severity: WARNING\n"))
    return made


@contextlib.asynccontextmanager
async def bench_platform(url: str, folder: Path) -> AsyncIterator[Platform]:
    """A platform over an empty database, with its keys in a folder."""
    settings = Settings(database_url=url, data_dir=folder, content_dir=_content(folder))
    write_keys(settings.kek_path.parent, settings.log_origin)
    signer = SigningKey.load(settings.signing_key_path, settings.log_origin)
    database = Database(url, info={SIGNER: signer})
    await database.create_all()
    async with database.session() as session:
        await load_access_files(session, content.root(ROOT))
        await session.commit()
    await database.close()
    platform = Platform.open(settings, name="bench", pool_size=20)
    try:
        yield platform
    finally:
        await platform.close()
