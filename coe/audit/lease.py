"""The lease of the sealer: one row, which only the role of the database that seals may write.

Who holds the lease seals; the others wait until it ends. A holder renews it in good time. The
transaction of a seal locks the row until its commit, so a holder that was suspended and wakes up
after another one took over seals nothing. `fence` grows with each holder, and a trigger compares it
with that of each new checkpoint: so a sealer of an earlier release, which knows no lease, signs
nothing either.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

SECONDS: Final = 5
"""How long the lease of a process that died lasts."""

_READ: Final = text("""
    SELECT holder = :holder AS mine,
           holder <> :holder AND until > clock_timestamp()
             AND until < clock_timestamp() + make_interval(secs => 2 * :seconds) AS taken,
           until < clock_timestamp() + make_interval(secs => 0.5 * :seconds) AS due
    FROM audit_sealer WHERE id = 1
""")
# Skip a locked row: its holder is sealing now.
_TAKE: Final = text("""
    UPDATE audit_sealer
    SET fence = CASE WHEN holder = :holder THEN fence ELSE fence + 1 END, holder = :holder,
        until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = (
      SELECT id FROM audit_sealer
      WHERE id = 1 AND (holder = :holder OR until <= clock_timestamp()
        OR until >= clock_timestamp() + make_interval(secs => 2 * :seconds))
      FOR UPDATE SKIP LOCKED)
    RETURNING fence
""")
_MAKE: Final = text("""
    INSERT INTO audit_sealer (id, holder, fence, until) VALUES (1, '', 0, '-infinity')
    ON CONFLICT DO NOTHING
""")
_GIVE_UP: Final = text("UPDATE audit_sealer SET until = '-infinity' WHERE holder = :holder")


def _name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The lease as one sealer sees it: its own, another's, or one to be renewed."""

    mine: bool
    taken: bool
    due: bool


@dataclass(frozen=True, slots=True)
class SealerLease:
    """The lease in the name of one sealer."""

    holder: str = field(default_factory=_name)

    async def state(self, session: AsyncSession) -> LeaseState:
        """Read the lease, without a lock. One that ends too late was made by nobody who seals."""
        row = (await session.execute(_READ, self._values())).one_or_none()
        if row is None:
            await session.execute(_MAKE)
            return LeaseState(mine=False, taken=False, due=True)
        return LeaseState(row.mine, row.taken, row.due)

    async def take(self, session: AsyncSession) -> int | None:
        """Take or renew the lease, and lock it until the end of the transaction.

        Returns:
            The fence; None if another sealer has the lease or is sealing now.
        """
        fence: int | None = await session.scalar(_TAKE, self._values())
        return fence

    async def give_up(self, session: AsyncSession) -> None:
        """Let another sealer take over at once."""
        await session.execute(_GIVE_UP, {"holder": self.holder})

    def _values(self) -> dict[str, object]:
        return {"holder": self.holder, "seconds": SECONDS}
