"""How long does a process take to read a policy of 200,000 memberships?

`python benchmarks/policy.py` prints the processor time of the process, for several shapes of a
company, and its ratio to the baseline, an object and two sets a membership: the way in which they
were read until the end of 2026. Processor time, for a neighbour on the machine stretches wall clock
time but not this.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson
from sqlalchemy import text

from coe import content
from coe.access.actor import subject_kind
from coe.access.load import load_access_files, renew_version
from coe.access.policy_store import PolicyStore
from coe.access.signed_policy import SIGNER, lock_changed_policy
from coe.crypto.signing import SigningKey
from coe.db import Database
from coe.embedded_postgres import EmbeddedPostgres
from coe.settings import Settings

ROOT: Final = Path(__file__).resolve().parent.parent
MEMBERSHIPS: Final = 200_000
SHAPES: Final = {
    "1,000 teams, each person in 4": (1_000, 4),
    "200 teams, each person in all": (200, 200),
    "4 teams, each person in all": (4, 4),
}
_TEAMS: Final = """
INSERT INTO teams (slug, id, name, members_source, state)
SELECT 'team-' || i, gen_random_uuid(), 'Team', 'scim', 'ACTIVE' FROM generate_series(1, :teams) i
"""
_MEMBERS: Final = """
INSERT INTO memberships (team, subject, display_name, roles, origin)
SELECT 'team-' || (1 + i % :teams), 'person-' || (i / :each), 'P', ARRAY['developer', 'operator'],
       'scim'
FROM generate_series(0, :count - 1) i
"""
_TEXTS: Final = """
SELECT jsonb_agg(jsonb_build_array(team, text) ORDER BY team)::text FROM (
  SELECT team, jsonb_agg(jsonb_build_array(subject, team, roles, expires_at, granted)
                         ORDER BY subject)::text AS text
  FROM memberships GROUP BY team
) each
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What one shape took: seconds of processor time and of the wall clock."""

    shape: str
    seconds: float
    wall: float
    baseline: float

    @property
    def ratio(self) -> float:
        """Of the time to that of the baseline."""
        return self.seconds / self.baseline


@dataclass(frozen=True, slots=True)
class Member:
    """A membership as the baseline has it."""

    subject: str
    team: str
    roles: tuple[str, ...]
    expires_at: datetime | None
    granted: dict[str, str]


def baseline(stored: str) -> object:
    """Read the memberships into an object each, and index all of them at once."""
    makers: dict[str, Callable[..., object] | None] = {
        "subject": None,
        "team": None,
        "roles": tuple,
        "expires_at": lambda end: end,
        "granted": None,
    }
    members = tuple(
        Member(
            **{
                name: row[at] if make is None else make(row[at])
                for at, (name, make) in enumerate(makers.items())
            }
        )
        for _, lines in orjson.loads(stored)
        for row in orjson.loads(lines)
    )
    roles: dict[str, frozenset[tuple[str, str]]] = {}
    teams: dict[str, frozenset[str]] = {}
    holders: dict[tuple[str, str], set[str]] = {}
    kinds = {}
    for each in members:
        kinds[each.subject] = subject_kind(each.subject)
        teams[each.subject] = teams.get(each.subject, frozenset()) | {each.team}
        held = {(role, each.team) for role in each.roles}
        roles[each.subject] = roles.get(each.subject, frozenset()) | held
        for role in each.roles:
            holders.setdefault((role, each.team), set()).add(each.subject)
    grants = frozenset(
        (subject, role, team) for (role, team), some in holders.items() for subject in some
    )
    return members, roles, teams, holders, kinds, grants


async def measured(server: EmbeddedPostgres, shape: str, folder: Path, count: int) -> Row:
    """Read one company's policy from its database, and its memberships as the baseline does."""
    teams, each = SHAPES[shape]
    name = f"policy_{teams}"
    await server.prepare({name: "postgres"})
    SigningKey.create(folder / "signing", Settings().log_origin)
    signer = SigningKey.load(folder / "signing", Settings().log_origin)
    database = Database(server.url(name), info={SIGNER: signer})
    await database.create_all()
    async with database.session() as session:
        await load_access_files(session, content.root(ROOT))
        await session.commit()
    async with database.session() as session:
        await session.execute(text(_TEAMS), {"teams": teams})
        await session.execute(text(_MEMBERS), {"teams": teams, "each": each, "count": count})
        await lock_changed_policy(session)
        await renew_version(session)
        await session.commit()
    async with database.session() as session:
        store = PolicyStore(key=signer.public)
        started, wall = time.process_time(), time.perf_counter()
        policy = await store.current(session)
        row_seconds, row_wall = time.process_time() - started, time.perf_counter() - wall
        if store.problem or not policy.teams("person-0"):
            raise RuntimeError(store.problem)
        started = time.process_time()
        stored = (await session.execute(text(_TEXTS))).scalar_one()
        kept = baseline(stored)
        row = Row(shape, row_seconds, row_wall, time.process_time() - started)
        del kept
    await database.close()
    return row


def main() -> None:
    """Measure over a temporary PostgreSQL, print a table and, with an option, JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the memberships")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    count = MEMBERSHIPS // 10 if given.quick else MEMBERSHIPS
    folder = Path(tempfile.mkdtemp(prefix="coe-policy-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "data", ephemeral=True)
    server.start()
    try:
        rows = [asyncio.run(measured(server, each, folder, count)) for each in SHAPES]
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{count:,} memberships{'':14} {'processor':>10} {'wall':>8} {'baseline':>9} {'ratio':>6}"
    )
    for row in rows:
        times = f"{row.seconds:8.2f} s {row.wall:6.2f} s {row.baseline:7.2f} s {row.ratio:6.2f}"
        print(f"{row.shape:33} {times}")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
