"""Load the access files, and settle those whom the files no longer have in a team."""

from __future__ import annotations

from pathlib import Path

from coe.access.load import LoadedPolicy
from coe.governance.access import load_policy
from coe.identity.teams.leaving import settle_leavers
from coe.work import Work


async def load_policy_and_settle(
    work: Work, root: Path, *, accept_changes: bool = False
) -> LoadedPolicy:
    """Load the access files below a folder; who left by it loses tokens, sessions and open tasks.

    Raises:
        Invalid: The files have problems; nothing is changed.
        PolicyChanged: The policy in the database is not what was signed, and the files do not mend
            it; with `accept_changes` it is signed as it is.
    """
    loaded = await load_policy(work, root, accept_changes=accept_changes)
    await settle_leavers(work, loaded.left, why="the files in catalog/teams/ name no team any more")
    return loaded
