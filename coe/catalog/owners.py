"""Who owns an entry: decided by columns whose code shows that the platform wrote them.

The owner and the deputy of an entry are those of its current version, whose card says so; both rows
have a code (`coe.crypto.row_codes`).
"""

from __future__ import annotations

from typing import Any, Final

from coe.crypto.row_codes import CodedRows
from coe.work import Read

OWNER_CODES: Final = CodedRows("entries", ("id", "team", "process_owner", "deputy"))
CARD_CODES: Final = CodedRows("entry_versions", ("id", "entry_id", "card"))


def is_owner(read: Read, entry: Any, subject: str | None = None) -> bool:
    """Whether somebody, by default the actor, is the process owner or the deputy of an entry.

    Raises:
        ChangedInDatabase: Somebody changed who owns it in the database.
    """
    if (subject or read.actor.subject) not in {entry.process_owner, entry.deputy}:
        return False
    OWNER_CODES.require(read.keyring.macs, entry)
    return True
