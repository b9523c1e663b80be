"""The tables of data keys, of how often they changed, and of the backups that need their keys.

A data key is one team's key for one purpose, wrapped.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, SmallInteger, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from coe.db import new_id, utcnow


class DataKey(SQLModel, table=True):
    """An AES-256 key of one team and purpose, in clear only in the memory of a process.

    `wrapped` is nonce (12 bytes), ciphertext and tag under the key-encryption key of `kek_id`.
    `reserved` counts the nonces that processes have reserved; the next version is created well
    before 2^32 of them (NIST SP 800-38D, section 8.3).
    """

    __tablename__ = "data_keys"
    __table_args__ = (UniqueConstraint("team", "purpose", "version"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    team: str = Field(sa_column=Column(Text, nullable=False))
    purpose: str = Field(sa_column=Column(Text, nullable=False))
    version: int
    wrapped: bytes
    kek_id: str = Field(sa_column=Column(Text, nullable=False, index=True))
    reserved: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    created_at: datetime = Field(default_factory=utcnow)


class Backup(SQLModel, table=True):
    """A backup of the database, by its label: until `kept_until` it may be restored.

    `kek_ids` are the key-encryption keys that its data keys need: none of them is retired before.
    """

    __tablename__ = "backups"

    label: str = Field(sa_column=Column(Text, primary_key=True))
    taken_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    kept_until: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    kek_ids: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))


class DataKeyChange(SQLModel, table=True):
    """How often data keys were destroyed or wrapped anew: one row, which a trigger counts up.

    A process that has opened keys looks at it, and drops them when it has changed.
    """

    __tablename__ = "data_key_changes"

    id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    number: int = Field(sa_column=Column(BigInteger, nullable=False))


DDL: Final = (
    """
    CREATE OR REPLACE FUNCTION data_keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      UPDATE data_key_changes SET number = number + 1;
      RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER data_keys_change
    AFTER DELETE OR TRUNCATE OR UPDATE OF wrapped, kek_id ON data_keys
    FOR EACH STATEMENT EXECUTE FUNCTION data_keys_changed()
    """,
    "INSERT INTO data_key_changes (id, number) VALUES (1, 0) ON CONFLICT DO NOTHING",
)
