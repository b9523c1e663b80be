"""What versions hold, opened: definitions and schemas, each checked against its digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from coe.access.permissions import Permission
from coe.catalog.columns import VERSION_COLUMNS, VERSIONS, version_row
from coe.catalog.documents import digest_of_flow, draw
from coe.catalog.models import EntryKind
from coe.catalog.rows import FlowContent, VersionRow
from coe.catalog.sealing import problems_from_json, unseal
from coe.crypto.keys import Keyring
from coe.db import JSON
from coe.errors import CoeError
from coe.work import Read
