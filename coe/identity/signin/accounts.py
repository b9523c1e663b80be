"""The account of who signed in: found by identity, made at the first sign-in, never taken over.

The key is the identity at the issuer (its URL, and `sub`). The subject that policies name is chosen
once, of a claim that may change later, and belongs to that identity for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from coe.access import people
from coe.access.membership_changes import GivenMembership
from coe.access.models import Membership, Person, PersonState
from coe.access.replacement import MembershipChanges
from coe.identity.signin.errors import Reason, SignInRefused
from coe.identity.signin.id_token import SKEW_SECONDS, Identity
from coe.identity.signin.issuers import Issuer, Issuers
from coe.identity.signin.pending import Pending
from coe.identity.teams.changes import replace_all
from coe.work import Work

MAX_GROUPS: Final = 2000
_MAX_NAME: Final = 200


async def find_or_make(
    work: Work, issuers: Issuers, name: str, identity: Identity
) -> tuple[Person, bool]:
    """The account of an identity, and whether it is new or newly tied to the identity.

    Raises:
        SignInRefused: The account is not active, its subject is another's, or nobody is let in who
            was not invited.
    """
    issuer = issuers.find(name)
    _check_email(issuer, identity.claims)
    person = await people.find_identity(work.session, identity.issuer, identity.external_id)
    fresh = person is None
    if person is None:
        person = await _first_sign_in(work, issuers, name, identity)
    if person.state != PersonState.ACTIVE:
        raise SignInRefused(Reason.ACCOUNT_INACTIVE, f"{person.subject} is {person.state}")
    person.display_name = _display_name(identity.claims, person.subject)
    person.last_sign_in_at = person.changed_at = work.now
    await work.session.flush()
    return person, fresh


def check_fresh(issuer: Issuer, pending: Pending, identity: Identity) -> None:
    """The person proved afresh who they are, in the way that the issuer's entry asks for.

    Raises:
        SignInRefused: They did so earlier, in another way, or the issuer does not say.
    """
    at = identity.authenticated_at
    if at is None or at.timestamp() < pending.begun_at - SKEW_SECONDS:
        raise SignInRefused(Reason.NOT_FRESH, "claim auth_time")
    if not issuer.is_strong(identity.acr):
        raise SignInRefused(Reason.NOT_FRESH, "claim acr")


async def renew_memberships(
    work: Work, name: str, issuer: Issuer, person: Person, claims: Mapping[str, Any]
) -> MembershipChanges | None:
    """Let the person's memberships follow the groups; None where the issuer has no rules.

    Raises:
        SignInRefused: The issuer left the groups out, because there are too many.
    """
    if not issuer.groups:
        return None
    wanted = issuer.memberships(_groups(issuer, claims))
    given = [
        GivenMembership(team, person.subject, person.display_name, roles)
        for team, roles in wanted.items()
    ]
    return await replace_all(work, f"oidc:{name}", given, subject=person.subject)


async def _first_sign_in(work: Work, issuers: Issuers, name: str, identity: Identity) -> Person:
    issuer = issuers.find(name)
    subject = issuer.subject.subject(dict(identity.claims))
    if subject is None:
        raise SignInRefused(Reason.SUBJECT_MISSING, f"claim {issuer.subject.claim}")
    if not issuers.only_one_names(issuer, subject):
        detail = f"{name} may not name {subject}, or another issuer may too"
        raise SignInRefused(Reason.SUBJECT_TAKEN, detail)
    person = await people.find_person(work.session, subject, lock=True)
    if person is None:
        return await _make(work, issuer, name, identity, subject)
    if person.issuer is not None or person.subject != subject:
        raise SignInRefused(Reason.SUBJECT_TAKEN, f"{person.subject} is of another identity")
    person.issuer, person.external_id = identity.issuer, identity.external_id
    return person


async def _make(work: Work, issuer: Issuer, name: str, identity: Identity, subject: str) -> Person:
    """Make an account for a subject that nobody has, or that only files in `catalog/teams` name."""
    written = await work.session.scalar(
        select(col(Membership.subject))
        .where(func.lower(col(Membership.subject)) == subject)
        .order_by(col(Membership.subject) != subject)
        .limit(1)
    )
    if written not in {None, subject}:
        raise SignInRefused(Reason.SUBJECT_TAKEN, f"{written} differs only in case")
    if written is None and not issuer.just_in_time:
        raise SignInRefused(Reason.NOT_INVITED, f"{subject} has no account")
    person = Person(
        subject=subject,
        issuer=identity.issuer,
        external_id=identity.external_id,
        display_name=subject,
        source=f"oidc:{name}",
        created_at=work.now,
        changed_at=work.now,
    )
    work.session.add(person)
    try:
        await work.session.flush()
    except IntegrityError:
        # Two first sign-ins at once: the other one was faster, and may be another person's.
        raise SignInRefused(Reason.SUBJECT_TAKEN, f"{subject} was made a moment ago") from None
    return person


def _check_email(issuer: Issuer, claims: Mapping[str, Any]) -> None:
    """The address is the issuer's to give, where addresses decide anything."""
    decides = issuer.email_domains or issuer.subject.claim == "email"
    if not decides:
        return
    email = claims.get("email")
    if not isinstance(email, str) or email.count("@") != 1:
        raise SignInRefused(Reason.EMAIL_DOMAIN, "no address")
    if claims.get("email_verified") is not True and not issuer.trust_email:
        raise SignInRefused(Reason.EMAIL_DOMAIN, "not verified")
    domain = email.rpartition("@")[2].lower()
    if issuer.email_domains and domain not in {each.lower() for each in issuer.email_domains}:
        raise SignInRefused(Reason.EMAIL_DOMAIN, "another domain")


def _groups(issuer: Issuer, claims: Mapping[str, Any]) -> list[str]:
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, dict) and issuer.groups_claim in elsewhere:
        raise SignInRefused(Reason.GROUPS_MISSING, "the groups are elsewhere (_claim_names)")
    value = claims.get(issuer.groups_claim, [])
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or len(listed) > MAX_GROUPS:
        raise SignInRefused(Reason.GROUPS_MISSING, "not a list, or a very long one")
    return [each for each in listed if isinstance(each, str)]


def _display_name(claims: Mapping[str, Any], subject: str) -> str:
    value = claims.get("name")
    if not isinstance(value, str):
        return subject
    printable = "".join(each if each.isprintable() else " " for each in value)
    return " ".join(printable.split())[:_MAX_NAME] or subject
