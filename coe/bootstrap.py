"""Set up an installation: load the content folders, issue tokens as its operator.

Both need access to the database and the keys; all later changes go through the API. The audit log
records them as done by `service:content`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from coe import content
from coe.access.actor import Actor
from coe.catalog import actions as catalog
from coe.catalog.models import Lifecycle
from coe.catalog.records import SavedVersion
from coe.catalog.systems import register_system
from coe.crypto.signing import SigningKey
from coe.errors import NotFound
from coe.governance import access, tokens
from coe.governance.tokens import TokenRequest
from coe.review.drafts import register_decision, register_flow
from coe.review.submission import gather_evidence
from coe.settings import Settings
from coe.templates.actions import register_template
from coe.work import Platform

CONTENT: Final = Actor.of("service:content", display_name="The import of the shipped catalog")
_TESTS: Final = "tests.yaml"


async def load_all(settings: Settings) -> list[str]:
    """Load policies, teams, systems, decision tables, templates and central flows.

    Loading the same again changes nothing. Each entry is loaded in its own transaction, so an
    interrupted load can be repeated. Tables, templates and flows are submitted for review; people
    publish them.

    Returns:
        One line for people about each entry.

    Raises:
        Invalid: A file has problems; the entries before it are loaded.
    """
    root = content.root(settings.content_dir)
    platform = Platform.open(settings, name="coe-content", pool_size=2)
    try:
        lines = [await _load_access(platform, root)]
        lines += [await _load_system(platform, file) for file in _files(root / "catalog/systems")]
        lines += [await _load_decision(platform, file) for file in _decisions(root)]
        lines += [await _load_template(platform, each) for each in _folders(root / "templates")]
        lines += [await _load_flow(platform, each) for each in _folders(root / "flows/central")]
    finally:
        await platform.close()
    return lines


async def issue_operator_token(settings: Settings, request: TokenRequest) -> str:
    """Issue a token as the operator, who holds the database and its keys.

    Raises:
        Invalid: The request has problems; nothing is saved.
    """
    platform = Platform.open(settings, name="coe-token", pool_size=1)
    try:
        async with platform.work(CONTENT) as work:
            token, _ = await tokens.issue_token_as_operator(work, request)
    finally:
        await platform.close()
    return token


async def _load_access(platform: Platform, root: Path) -> str:
    async with platform.work(CONTENT) as work:
        loaded = await access.load_policy(work, root)
    return f"policies and teams: version {loaded.version}"


async def _load_system(platform: Platform, file: Path) -> str:
    text = _texts(file)
    async with platform.work(CONTENT) as work:
        saved = await register_system(work, text[file.name])
    return f"system {saved.entry.ref}: {_outcome(saved)}"


async def _load_decision(platform: Platform, file: Path) -> str:
    text = _texts(file)[file.name]
    tests = await asyncio.to_thread(_tests_beside, file.parent)
    async with platform.work(CONTENT) as work:
        saved = await register_decision(work, text, tests=tests)
    await _submit(platform, saved)
    return f"decision {saved.version.ref}: {_outcome(saved)}"


async def _load_template(platform: Platform, folder: Path) -> str:
    files = _texts(folder)
    async with platform.work(CONTENT) as work:
        saved = await register_template(work, files)
    await _submit(platform, saved)
    return f"template {saved.version.ref}: {_outcome(saved)}"


async def _load_flow(platform: Platform, folder: Path) -> str:
    manifest = (folder / "flow.yaml").read_text()
    tests = await asyncio.to_thread(_tests_beside, folder)
    async with platform.work(CONTENT) as work:
        saved = await register_flow(work, manifest, tests=tests)
    await _submit(platform, saved)
    return f"flow {saved.version.ref}: {_outcome(saved)}"


async def _submit(platform: Platform, saved: SavedVersion) -> None:
    """Submit a draft with the result of its tests; a load that was interrupted goes on here."""
    if saved.version.lifecycle is not Lifecycle.DRAFT:
        return
    ref = saved.version.ref
    evidence = await gather_evidence(platform, CONTENT, ref)
    async with platform.work(CONTENT) as work:
        await catalog.submit_for_review(work, ref, evidence=evidence)


def _tests_beside(folder: Path) -> str | None:
    """The text of the tests in a folder."""
    file = folder / _TESTS
    return file.read_text() if file.exists() else None


def _outcome(saved: SavedVersion) -> str:
    return "new" if saved.created else "unchanged"


def _texts(place: Path) -> dict[str, str]:
    """The text of a file, or of each file below a folder, by its relative path."""
    if place.is_file():
        return {place.name: place.read_text()}
    files = (path for path in sorted(place.rglob("*")) if path.is_file())
    return {str(path.relative_to(place)): path.read_text() for path in files}


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []


def _decisions(root: Path) -> list[Path]:
    return [path for path in _files(root / "catalog/decisions") if path.name != _TESTS]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml")) if folder.is_dir() else []


def log_key(settings: Settings) -> str:
    """The public key of the audit log, as a C2SP verifier key.

    Raises:
        NotFound: There is no signing key yet: the first process of an installation makes it.
    """
    path = settings.signing_key_path
    if not path.exists():
        raise NotFound(f"there is no signing key at {path}: see COE_SIGNING_KEY_FILE")
    return SigningKey.load(path, settings.log_origin).vkey
