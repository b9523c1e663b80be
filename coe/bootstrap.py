"""Set up an installation: load the content folders, issue tokens as its operator.

Both need access to the database and the keys; all later changes go through the API. The audit log
records them as done by `service:content`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final
from uuid import UUID

from coe import content
from coe.access.actor import Actor
from coe.catalog import actions as catalog
from coe.catalog.models import Lifecycle
from coe.catalog.records import SavedVersion
from coe.catalog.systems import register_system
from coe.catalog.versions.clear_texts import seal_clear_texts
from coe.catalog.versions.earlier_publications import sign_earlier_publications
from coe.confined.pool import InThisProcess
from coe.crypto.signing import SigningKey
from coe.errors import NotFound
from coe.governance import tokens
from coe.governance.tokens import TokenRequest
from coe.identity import workers
from coe.identity.teams.loading import load_policy_and_settle
from coe.installation.keys import compare_keys
from coe.review.drafts import register_decision, register_flow
from coe.review.submission import gather_evidence
from coe.settings import Settings
from coe.templates.actions import register_template
from coe.work import Platform

CONTENT: Final = Actor.of("service:content", display_name="The import of the shipped catalog")
_TESTS: Final = "tests.yaml"


async def load_all(settings: Settings, *, accept_access: bool = False) -> list[str]:
    """Load policies, teams, systems, decision tables, templates and central flows.

    Loading the same again changes nothing. Each entry is loaded in its own transaction, so an
    interrupted load can be repeated. Tables, templates and flows are submitted for review; people
    publish them.

    Returns:
        One line for people about each entry.

    Raises:
        KeysRefused: Keys are missing, or those of another installation.
        Invalid: A file has problems; the entries before it are loaded.
        Conflict: A version that was submitted has other content in its file.
    """
    root = content.root(settings.content_dir)
    await compare_keys(settings)
    platform = Platform.open(settings, name="coe-content", pool_size=2, computing=InThisProcess())
    try:
        lines = [await _load_access(platform, root, accept_access=accept_access)]
        lines += [await _load_system(platform, file) for file in _files(root / "catalog/systems")]
        lines += await _seal_clear_texts(platform)
        lines += await _sign_earlier_publications(platform)
        saved = [await _load_decision(platform, file) for file in _decisions(root)]
        saved += [await _load_template(platform, each) for each in _folders(root / "templates")]
        saved += [await _load_flow(platform, each) for each in _folders(root / "flows/central")]
        await _submit(platform, saved)
        lines += map(_line, saved)
    finally:
        await platform.close()
    return lines


async def issue_operator_token(settings: Settings, request: TokenRequest) -> tuple[str, UUID]:
    """Issue a token as the operator, who holds the database and its keys; the token and its id.

    Raises:
        Invalid: The request has problems; nothing is saved.
    """
    await compare_keys(settings)
    platform = Platform.open(settings, name="coe-token", pool_size=1)
    try:
        async with platform.work(CONTENT) as work:
            token, issued = await tokens.issue_token_as_operator(work, request)
    finally:
        await platform.close()
    return token, issued.id


async def operator_enrolment_code(settings: Settings, team: str) -> str:
    """Make a one-time code for a worker of a team, as the operator.

    Raises:
        NotFound: There is no such team.
        Conflict: No worker is a member of the team.
    """
    await compare_keys(settings)
    platform = Platform.open(settings, name="coe-worker-code", pool_size=1)
    try:
        async with platform.work(CONTENT) as work:
            code, _ = await workers.create_enrolment_code_as_operator(work, team)
    finally:
        await platform.close()
    return code


async def _load_access(platform: Platform, root: Path, *, accept_access: bool) -> str:
    async with platform.work(CONTENT) as work:
        loaded = await load_policy_and_settle(work, root, accept_changes=accept_access)
    return f"policies and teams: version {loaded.version}"


async def _load_system(platform: Platform, file: Path) -> str:
    text = _texts(file)
    async with platform.work(CONTENT) as work:
        saved = await register_system(work, text[file.name])
    return f"system {saved.entry.ref}: {_outcome(saved)}"


async def _load_decision(platform: Platform, file: Path) -> SavedVersion:
    text = _texts(file)[file.name]
    tests = await asyncio.to_thread(_tests_beside, file.parent)
    async with platform.work(CONTENT) as work:
        return await register_decision(work, text, tests=tests)


async def _load_template(platform: Platform, folder: Path) -> SavedVersion:
    files = _texts(folder)
    async with platform.work(CONTENT) as work:
        return await register_template(work, files)


async def _load_flow(platform: Platform, folder: Path) -> SavedVersion:
    manifest = (folder / "flow.yaml").read_text()
    tests = await asyncio.to_thread(_tests_beside, folder)
    async with platform.work(CONTENT) as work:
        return await register_flow(work, manifest, tests=tests)


async def _submit(platform: Platform, saved: list[SavedVersion]) -> None:
    """Submit the drafts with the results of their tests; an interrupted load goes on here."""
    drafts = [each.version.ref for each in saved if each.version.lifecycle is Lifecycle.DRAFT]
    evidence = await asyncio.gather(*(gather_evidence(platform, CONTENT, ref) for ref in drafts))
    for ref, result in zip(drafts, evidence, strict=True):
        async with platform.work(CONTENT) as work:
            await catalog.submit_for_review(work, ref, evidence=result)


async def _seal_clear_texts(platform: Platform) -> list[str]:
    """Seal what earlier releases stored in clear; a line about it if there was something."""
    total = 0
    while True:
        async with platform.work(CONTENT) as work:
            sealed = await seal_clear_texts(work)
        if not sealed:
            return [f"changelogs and comments in clear: {total} sealed"] if total else []
        total += sealed


async def _sign_earlier_publications(platform: Platform) -> list[str]:
    """Sign the publications of earlier releases that the log proves; a line if there are any."""
    async with platform.work(CONTENT) as work:
        signed, unproven = await sign_earlier_publications(work)
    lines = [f"publications of an earlier release: {signed} signed"] if signed else []
    if unproven:
        lines.append(f"publications that the log does not prove: {unproven}; they do not run")
    return lines


def _tests_beside(folder: Path) -> str | None:
    """The text of the tests in a folder."""
    file = folder / _TESTS
    return file.read_text() if file.exists() else None


def _line(saved: SavedVersion) -> str:
    return f"{saved.entry.kind.lower()} {saved.version.ref}: {_outcome(saved)}"


def _outcome(saved: SavedVersion) -> str:
    if saved.created:
        return "new"
    return "replaced" if saved.replaced else "unchanged"


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
        NotFound: There is no signing key.
    """
    path = settings.signing_key_path
    if not path.exists():
        raise NotFound(
            f"there is no signing key at {path}: name the installation's settings with --config, "
            "or its folder with COE_DATA_DIR, or the key itself with COE_SIGNING_KEY_FILE; "
            "`coe key new` makes the keys of a new installation"
        )
    return SigningKey.load(path, settings.log_origin).vkey
