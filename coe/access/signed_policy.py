"""The signature of the policy: who can write the database cannot write the policy.

A version is signed (Ed25519) in the transaction of each change, as canonical JSON::

    {"inactive": "…", "lines": "…", "memberships": "…", "model": "…", "type": "coe-policy/1",
     "version": 7}

with the SHA-256 of each part as the database writes it (`coe.access.records`); that of the
memberships is over one digest a team. A change verifies what it finds before it signs what it
leaves, with the tables locked in between, so that it never signs what somebody put there by hand:
the digests of all teams, and the memberships of those that it touches (`touch_team`). A process
that loads a version verifies all that it has read.

The signing key is in `session.info` of the platform's sessions (`SIGNER`), because a change comes
from many verbs and none may forget it. A session without it neither verifies nor signs; a platform
does not load what such a session leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.records import (
    STATE,
    PolicyParts,
    compute_parts,
    renew_team_digests,
    team_digest_fits,
    teams_without_fit,
)
from coe.crypto.signing import SigningKey, VerifyKey
from coe.errors import Conflict
from coe.language.canonical import canonical

SIGNER: Final = "coe.policy.signer"
"""The key of `session.info` that has the signing key."""
RENEWED: Final = "coe.policy.renewed"
"""The key of `session.info` that has the version which the transaction made."""
_VERIFIED: Final = "coe.policy.verified"
_TOUCHED: Final = "coe.policy.touched"
"""The teams whose memberships the transaction changes; None for all of them."""
POLICY_LOCK: Final = 0x_C0E_ACCE55  # pg_advisory_xact_lock: one writer of policies at a time
_TYPE: Final = "coe-policy/1"
_LOCK_TABLES: Final = text("LOCK TABLE policy_rules, memberships IN SHARE ROW EXCLUSIVE MODE")


class PolicyChanged(Conflict):
    """The policy in the database is not what was signed: somebody changed it there."""


async def hold_policy(session: AsyncSession) -> None:
    """Hold the policy for this transaction: one changes it at a time, and nobody by hand."""
    await session.execute(select(func.pg_advisory_xact_lock(POLICY_LOCK)))
    if SIGNER in session.info:  # it is held before the first change, so that nobody waits for it
        await session.execute(_LOCK_TABLES)


async def begin_change(session: AsyncSession) -> None:
    """Hold the policy for a change, which ends with `coe.access.load.renew_version`.

    Raises:
        PolicyChanged: It is not what was signed: what somebody put there is not signed with it.
    """
    await hold_policy(session)
    if _is_verified(session):
        return
    problem = await _problem(session)
    if problem is not None:
        raise PolicyChanged(problem)
    _note_verified(session, set())


async def lock_changed_policy(session: AsyncSession) -> PolicyChanged | None:
    """Hold the policy for a change that decides itself what is in it: the loading of the files.

    Returns:
        What is wrong with the policy, if it is not what was signed.
    """
    await hold_policy(session)
    problem = await _problem(session)
    if problem is None and SIGNER in session.info:
        teams = await teams_without_fit(session)
        problem = problem_of_teams(teams) if teams else None
    _note_verified(session, set() if problem is None else None)
    return None if problem is None else PolicyChanged(problem)


async def touch_team(session: AsyncSession, team: str) -> None:
    """Verify the memberships of a team before the transaction changes one of them.

    Raises:
        PolicyChanged: They are not what was signed.
        RuntimeError: `lock_policy` was not called in this transaction.
    """
    if SIGNER not in session.info:
        return
    require_verified(session)
    touched: set[str] | None = session.info[_TOUCHED]
    if touched is None or team in touched:
        return
    if not await team_digest_fits(session, team):
        raise PolicyChanged(problem_of_teams([team]))
    touched.add(team)


async def current_parts(session: AsyncSession, *, model: str) -> PolicyParts:
    """The digests of the policy as the transaction leaves it."""
    touched = session.info[_TOUCHED] if SIGNER in session.info else None
    if touched is None or touched:
        await renew_team_digests(session, touched)
    return await compute_parts(session, model=model)


def require_verified(session: AsyncSession) -> None:
    """Require that the policy was verified before it was changed.

    Raises:
        RuntimeError: `lock_policy` was not called in this transaction.
    """
    if SIGNER in session.info and not _is_verified(session):
        raise RuntimeError("call lock_policy before you change the policy")


def sign(session: AsyncSession, version: int, parts: PolicyParts) -> str | None:
    """Sign a version; None in a session without the key."""
    signer: SigningKey | None = session.info.get(SIGNER)
    if signer is None:
        return None
    session.info[RENEWED] = version
    return signer.sign_statement(statement(version, parts))


def is_signed(
    session: AsyncSession, version: int, parts: PolicyParts, signature: str | None
) -> bool:
    """Whether the signature is that of this version; a session without the key takes any."""
    signer: SigningKey | None = session.info.get(SIGNER)
    return signer is None or fits(signer.public, version, parts, signature)


def fits(key: VerifyKey, version: int, parts: PolicyParts, signature: str | None) -> bool:
    """Whether the key has signed this version with these parts."""
    return key.verify_statement(statement(version, parts), signature or "")


def statement(version: int, parts: PolicyParts) -> bytes:
    """What is signed of a version."""
    return canonical({"type": _TYPE, "version": version, **asdict(parts)})


def _is_verified(session: AsyncSession) -> bool:
    transaction = session.sync_session.get_transaction()
    return transaction is not None and session.info.get(_VERIFIED) is transaction


async def _problem(session: AsyncSession) -> str | None:
    """Why the stored policy is not the one that was signed."""
    if SIGNER not in session.info:
        return None
    found = await session.execute(select(STATE).where(STATE.c.id == 1))
    state = found.one_or_none()
    if state is None:
        return "The database has no policy: load it with `coe content load`."
    parts = await compute_parts(session)
    if is_signed(session, state.version, parts, state.signature):
        return None
    return problem_of(state.signature)


def problem_of_teams(teams: Sequence[str]) -> str:
    """What is wrong with memberships that are not those of the signed digest of their team."""
    return (
        f"The memberships of {', '.join(teams[:5])} in the database are not what was signed: "
        "somebody changed them there. `coe content load` loads the files again."
    )


def _note_verified(session: AsyncSession, touched: set[str] | None) -> None:
    session.info[_VERIFIED] = session.sync_session.get_transaction()
    session.info[_TOUCHED] = touched


def problem_of(signature: str | None) -> str:
    """What is wrong with a policy whose signature does not fit."""
    if signature is None:
        return (
            "The policy in the database is not signed: an earlier release wrote it, or somebody "
            "changed it there. `coe content load` signs what is in the files."
        )
    return (
        "The policy in the database (lines, memberships, suspended people, model) is not what was "
        "signed: somebody changed it there. `coe content load` loads the files again."
    )
