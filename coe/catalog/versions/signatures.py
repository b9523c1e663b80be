"""Signatures of versions: a version is used only while it is what was signed.

A draft is signed by its digest, so that reviewers see what was saved. A publication is a statement,
canonical JSON, signed by the platform::

    {"approvers": ["coe-reviewer"], "dataClass": "INTERNAL", "digest": "5f70…",
     "ref": "sales/order-to-cash@1.0.0", "type": "coe-publication/1"}

Whoever can write the database has no key, so an UPDATE of the lifecycle, of the content or of the
data class lets nothing run. Retiring signs the same as `coe-retirement/1`, under which runs go on
and none starts. A lifecycle that is cut back in the database only denies.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final

from coe.access.actor import Actor
from coe.audit.events import AuditOutcome, Tag
from coe.audit.log import NewEvent, append
from coe.catalog.models import EntryVersion
from coe.catalog.records import VersionRecord
from coe.errors import Conflict
from coe.json_types import JSON
from coe.language.canonical import canonical
from coe.work import Platform, Read

PUBLICATION: Final = "coe-publication/1"
RETIREMENT: Final = "coe-retirement/1"
_RUNS: Final = Actor.of("service:central")
"""Who is refused where no caller is at hand: the executor of runs."""


class NotAsPublished(Conflict):
    """A version is not what was published: somebody changed it in the database."""


def check_draft(holder: Read | Platform, version: VersionRecord, digest: str) -> None:
    """Compare the digest of a draft's content with the signed digest.

    Raises:
        Conflict: The content, the digest or the signature was changed.
    """
    platform = holder.platform if isinstance(holder, Read) else holder
    signed = platform.signer.public.verify_digest(digest, version.signature)
    if digest != version.digest or not signed:
        raise Conflict(f"{version.ref} is not what was signed: its content or digest was changed")


def sign_publication(
    platform: Platform, version: EntryVersion, approvers: Collection[str], type_: str = PUBLICATION
) -> None:
    """Sign that a version is published, or retired, with the people who approved it."""
    about: JSON = {
        "type": type_,
        "ref": f"{version.namespace}/{version.name}@{version.version}",
        "digest": version.digest,
        "dataClass": version.data_class.value,
        "approvers": list[JSON](sorted(approvers)),
    }
    statement = canonical(about)
    version.publication = statement.decode()
    version.signature = platform.signer.sign_statement(statement)


def sign_retirement(platform: Platform, version: EntryVersion) -> None:
    """Replace the publication of a version by its retirement, so that it cannot be taken back."""
    said = _read(version.publication)
    approvers = said.get("approvers")
    if said:
        names = [str(each) for each in approvers] if isinstance(approvers, list) else []
        sign_publication(platform, version, names, RETIREMENT)


async def require_published(
    holder: Read | Platform, version: VersionRecord, digest: str, *, starting: bool = False
) -> None:
    """Require that a version is what was published; a refusal is recorded.

    Args:
        holder: Who uses it.
        version: Its row.
        digest: The digest of its content, computed now.
        starting: Whether something new starts with it: a retired version then does not.

    Raises:
        NotAsPublished: It was never published, or its content, digest, data class, lifecycle or
            signature was changed afterwards.
    """
    platform = holder.platform if isinstance(holder, Read) else holder
    problem = _problem(platform, version, digest, starting=starting)
    if problem is None:
        return
    message = f"{version.ref} is not what was published: {problem}"
    await _record(holder, platform, version, message)
    raise NotAsPublished(message)


def _problem(
    platform: Platform, version: VersionRecord, digest: str, *, starting: bool
) -> str | None:
    if version.publication is None:
        return (
            "no publication of it is signed; one of an earlier release is signed by "
            "`coe content load`, as far as the audit log proves it"
        )
    statement = version.publication.encode()
    if not platform.signer.public.verify_statement(statement, version.signature):
        return "the signature does not fit its publication"
    said = _read(version.publication)
    wanted: dict[str, JSON] = {
        "ref": version.ref,
        "digest": digest,
        "dataClass": version.data_class.value,
    }
    changed = [name for name, value in wanted.items() if said.get(name) != value]
    if version.digest != digest and "digest" not in changed:
        changed.append("digest")
    if changed:
        return f"changed in the database: {', '.join(changed)}"
    allowed = (PUBLICATION,) if starting else (PUBLICATION, RETIREMENT)
    if said.get("type") not in allowed:
        return "its lifecycle was changed in the database"
    return None


def _read(publication: str | None) -> dict[str, JSON]:
    try:
        said = json.loads(publication or "null")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


async def _record(
    holder: Read | Platform, platform: Platform, version: VersionRecord, message: str
) -> None:
    """Record the refusal in a transaction of its own: that of the caller is rolled back."""
    actor = holder.actor if isinstance(holder, Read) else _RUNS
    request = holder.request if isinstance(holder, Read) else None
    event = NewEvent(
        at=platform.clock(),
        actor=actor.subject,
        actor_kind=actor.kind,
        action=Tag.CATALOG_VERSION_REFUSE,
        resource=f"{version.kind.lower()}:{version.ref}",
        team=version.team,
        outcome=AuditOutcome.DENIED,
        reason=message,
        correlation_id=request.correlation_id if request else None,
        request_id=request.request_id if request else None,
        address=request.address if request else None,
    )
    async with platform.database.session() as session:
        await append(session, platform.keyring, event)
        await session.commit()
