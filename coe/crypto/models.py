"""The table of data keys: one team's key for one purpose, wrapped by the key-encryption key."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Text, UniqueConstraint
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
