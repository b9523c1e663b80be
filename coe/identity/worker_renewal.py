"""A worker puts a new key in the place of its own, which is worth nothing from then on.

It stays the same worker: runs that it has claimed stay its own. The old key signs which key is to
come, and the new one signs that it is there, so neither a stolen assertion nor a foreign key is
enough. Access tokens of before are refused with the old key.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from coe.access.machine_models import WorkerKey
from coe.access.machines import (
    WORKER,
    RefusedCredential,
    check_credential,
    credential_of,
    find_credential,
    machine_actor,
    name_of_key,
)
from coe.audit.events import Tag
from coe.crypto import jose
from coe.errors import Conflict, Invalid, Problem
from coe.identity.sign_in import (
    RENEWAL,
    Checked,
    TokenRefused,
    check_assertion,
    record_refusal,
    spend,
)
from coe.identity.workers import KEY_LIFE, PROOF_SECONDS, Enrolled, enrolled
from coe.work import Platform, RequestInfo, Work

NEW_KEY: Final = "coe-new-key+jwt"
"""The type of what the new key signs, with the key in it."""


async def renew_worker(
    platform: Platform, *, assertion: str, proof: str, request: RequestInfo
) -> Enrolled:
    """Put a new key in the place of a worker's own.

    A worker whose answer was lost sends the same new key again, and gets the same answer.

    Args:
        platform: The installation.
        assertion: A token of the type `RENEWAL`, signed by the old key, with the claims of an
            assertion for a sign-in and `key`: the SHA-256 of the new public key in hexadecimal.
        proof: A token of the type `NEW_KEY`, signed by the new key, which is in its header (`jwk`),
            with the claims `iat` (now) and `sub` (the worker).
        request: Where it comes from.

    Raises:
        TokenRefused: The worker is not known, its key is not good, or did not sign the assertion;
            this is recorded.
        Invalid: The proof is not good.
        Conflict: The new key is known already.
    """
    read = jose.unverified(assertion)
    credential = str(read.claims.get("sub", "")) if read else ""
    async with platform.database.session() as session:
        row = await find_credential(session, credential)
    if not isinstance(row, WorkerKey):
        raise TokenRefused("invalid_client", "the assertion names no worker that is known here")
    public = _new_key(platform, proof, credential)
    try:
        check_credential(platform.machines, row, platform.clock())
        if row.public_key == public:
            return enrolled(platform.machines, row)
        checked = check_assertion(platform, assertion, row.public_key, credential, typ=RENEWAL)
        if read is None or read.claims.get("key") != name_of_key(public):
            raise TokenRefused("invalid_client", "the assertion names another key")  # noqa: TRY301
        async with platform.work(machine_actor(row), request) as work:
            return await _replace(work, row, checked, public)
    except RefusedCredential as refused:
        await record_refusal(platform, row, f"its key is refused: {refused.why}", request)
        raise TokenRefused("invalid_client", f"this worker is refused: {refused.why}") from None
    except TokenRefused as refused:
        await record_refusal(platform, row, refused.message, request)
        raise


async def _replace(work: Work, seen: WorkerKey, checked: Checked, public: bytes) -> Enrolled:
    row = (
        await work.session.scalars(
            select(WorkerKey)
            .where(col(WorkerKey.id) == seen.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    if row is not None and row.public_key == public:  # sent twice at once
        check_credential(work.platform.machines, row, work.now)
        return enrolled(work.platform.machines, row)
    if row is None or row.public_key != seen.public_key:
        raise TokenRefused("invalid_client", "the key of this worker was replaced meanwhile")
    machines = work.platform.machines
    check_credential(machines, row, work.now)
    await spend(work, row, checked)
    row.public_key, row.renewed_at, row.expires_at = public, work.now, work.now + KEY_LIFE
    row.last_seen_at, row.last_address = work.now, work.request.address
    row.mac = machines.mac(row)
    try:
        await work.session.flush()
    except IntegrityError:
        raise Conflict("this key is known already: make a new one") from None
    await work.record(
        Tag.ACCESS_WORKER_RENEW,
        resource=credential_of(row),
        team=row.team,
        detail={
            "name": row.name,
            "before": name_of_key(seen.public_key),
            "now": name_of_key(public),
        },
    )
    return enrolled(machines, row)


def _new_key(platform: Platform, proof: str, credential: str) -> bytes:
    """The key that signed the proof.

    Raises:
        Invalid: It is no proof for this worker, or not a fresh one.
    """
    try:
        public = jose.key_in_header(proof)
        claims = jose.verify_with_key(proof, public, typ=NEW_KEY).claims
    except ValueError as error:
        raise Invalid([Problem("INPUT_PROOF", str(error), path="/proof")]) from None
    at = claims.get("iat")
    now = platform.clock().timestamp()
    fresh = isinstance(at, int | float) and abs(now - at) <= PROOF_SECONDS
    if not fresh or claims.get("sub") != credential or not credential.startswith(f"{WORKER}:"):
        message = "the proof is not of this worker, or not of now: check the worker's clock"
        raise Invalid([Problem("INPUT_PROOF", message, path="/proof")])
    return public
