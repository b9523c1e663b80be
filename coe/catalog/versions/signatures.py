"""Signatures: a version is used only while its content has the digest that was signed."""

from __future__ import annotations

from coe.catalog.records import VersionRecord
from coe.errors import Conflict
from coe.work import Platform, Read


def check_signature(holder: Read | Platform, version: VersionRecord, digest: str) -> None:
    """Compare the digest of a version's content with the signed digest.

    Raises:
        Conflict: The content, the digest or the signature was changed.
    """
    platform = holder.platform if isinstance(holder, Read) else holder
    signed = platform.signer.public.verify_digest(digest, version.signature)
    if digest != version.digest or not signed:
        raise Conflict(f"{version.ref} is not what was signed: its content or digest was changed")
