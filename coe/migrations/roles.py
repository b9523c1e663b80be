"""The roles of the database, apart: one migrates, one serves, one seals the audit log.

The role that migrates owns the tables. The one that serves (API, workers) reads and writes every
table but those of the audit log, of which it may only read, and insert events. The one that seals
reads the log, and writes what the sealer adds: positions, leaves, refusals, nodes, checkpoints and
the lease. Neither can change an event, delete one, switch a trigger off, or keep the sealer from
its lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, make_url, text

from coe.errors import CoeError
from coe.settings import Settings

_LOG: Final = (
    "audit_events",
    "audit_nodes",
    "audit_checkpoints",
    "audit_sealer",
    "audit_losses",
    "audit_sinks",
)
_READ_ONLY: Final = ("schema_revisions", "schema_backfills")
_SERVING: Final = (
    "GRANT SELECT, INSERT ON audit_events TO {role}",
    "GRANT SELECT ON audit_nodes, audit_checkpoints, audit_sealer, schema_revisions TO {role}",
    "GRANT SELECT ON audit_losses, audit_sinks TO {role}",
    "GRANT UPDATE ON audit_losses TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
)
_SEALING: Final = (
    "GRANT SELECT ON audit_events, audit_nodes, audit_checkpoints, audit_sealer TO {role}",
    "GRANT SELECT ON schema_revisions TO {role}",
    "GRANT UPDATE (position, leaf_hash, refused) ON audit_events TO {role}",
    "GRANT INSERT ON audit_nodes, audit_checkpoints TO {role}",
    "GRANT INSERT, UPDATE ON audit_sealer TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON audit_losses TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON audit_sinks TO {role}",
)
_POWERS: Final = text("""
    SELECT CASE
      WHEN rolsuper THEN 'is a superuser'
      WHEN pg_has_role(:role, current_user, 'MEMBER') THEN 'is a member of ' || current_user
      WHEN pg_has_role(:role, 'pg_write_all_data', 'MEMBER') THEN 'is a member of pg_write_all_data'
      WHEN EXISTS (SELECT 1 FROM pg_database
                   WHERE datname = current_database() AND datdba = role.oid)
        THEN 'owns the database'
      WHEN EXISTS (SELECT 1 FROM pg_class WHERE relowner = role.oid
                   AND relnamespace = 'public'::regnamespace)
        THEN 'owns tables'
      END
    FROM pg_roles AS role WHERE rolname = :role
""")


@dataclass(frozen=True, slots=True)
class Roles:
    """The names of the three roles, which may be the same."""

    migrating: str
    serving: str
    sealing: str

    @classmethod
    def of(cls, settings: Settings) -> Roles:
        """The roles that the URLs of the settings name.

        Raises:
            CoeError: A URL names none.
        """
        return cls(
            _role(settings.migrating_url, "COE_MIGRATE_DATABASE_URL"),
            _role(settings.database_url, "COE_DATABASE_URL"),
            _role(settings.sealing_url, "COE_SEALER_DATABASE_URL"),
        )

    @property
    def apart(self) -> bool:
        """Whether all three differ."""
        return len({self.migrating, self.serving, self.sealing}) == 3  # noqa: PLR2004  # three roles

    @property
    def unprotected(self) -> str | None:
        """What is not protected because roles are the same, for people; None if they are apart."""
        if self.apart:
            return None
        if self.serving == self.migrating:
            return (
                f"the role {self.serving} serves and owns the tables: whoever takes over a process "
                "that serves can remove events of the audit log, or stop its sealer; that is "
                "found, and not prevented"
            )
        same = self.serving if self.serving == self.sealing else self.sealing
        other = "serves" if self.serving == self.sealing else "migrates"
        return f"the role {same} seals the audit log and {other}: they are not apart"


def grant(connection: Connection, roles: Roles) -> None:
    """Grant the roles what they need and revoke the rest, as the role that migrates; repeatable.

    Raises:
        CoeError: A role does not exist, or has powers that no grant takes away.
    """
    others = sorted({roles.serving, roles.sealing} - {roles.migrating})
    for role in others:
        _check(connection, role)
    if not others:
        return
    quote = connection.dialect.identifier_preparer.quote
    tables = connection.scalars(
        text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
    ).all()
    plain = [quote(name) for name in tables if name not in {*_LOG, *_READ_ONLY}]
    statements = ["REVOKE CREATE ON SCHEMA public FROM PUBLIC"]
    for role in map(quote, others):
        statements += [
            f"GRANT USAGE ON SCHEMA public TO {role}",
            f"REVOKE CREATE ON SCHEMA public FROM {role}",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
        ]
    if roles.serving in others:
        role = quote(roles.serving)
        statements.append(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(plain)} TO {role}")
        statements += [each.format(role=role) for each in _SERVING]
    if roles.sealing in others:
        statements += [each.format(role=quote(roles.sealing)) for each in _SEALING]
    for statement in statements:
        connection.execute(text(statement))


def _check(connection: Connection, role: str) -> None:
    found = connection.execute(_POWERS, {"role": role}).one_or_none()
    if found is None:
        message = f'there is no role {role} in the database: CREATE ROLE "{role}" LOGIN PASSWORD …'
        raise CoeError(message, code="INVALID")
    if found[0] is not None:
        message = (
            f"the role {role} {found[0]}, so no grant limits it: use one without such powers. "
            "Tables that it owns become those of the role that migrates with REASSIGN OWNED"
        )
        raise CoeError(message, code="INVALID")


def _role(url: str, setting: str) -> str:
    name = make_url(url).username
    if name is None:
        message = f"{setting}: the URL has to name its role, as in postgresql://role@host/database"
        raise CoeError(message, code="INVALID")
    return name
