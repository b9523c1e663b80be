"""The one table of the API: answers already given, so that a repeated mutation is done once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, DateTime
from sqlmodel import Field, SQLModel


class ClientMutation(SQLModel, table=True):
    """The answer to a mutation that came with a `clientMutationId`, kept for 24 hours.

    The row is inserted first in the transaction of the change, so that of two calls at once the
    second waits for the first. `key` is the SHA-256 of the client's key, which may be any text of
    theirs. `answer` is sealed: the digest of the input, and what the payload is rebuilt from.
    """

    __tablename__ = "client_mutations"

    actor: str = Field(primary_key=True)
    key: bytes = Field(primary_key=True)
    created_at: datetime = Field(
        sa_column=Column(DateTime(timezone=True), nullable=False, index=True)
    )
    answer: bytes | None = None
