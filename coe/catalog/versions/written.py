"""What a version's content says of itself; its row says the same, unless somebody changed it."""

from __future__ import annotations

from typing import Any, Final

from coe.access.actor import DataClass
from coe.catalog.models import EntryVersion
from coe.errors import Conflict
from coe.json_types import JSON
from coe.language.source import read

_TEMPLATE: Final = "template.yaml"


def require_row_as_written(version: EntryVersion, content: JSON) -> None:
    """Compare ref and data class of a row with its decrypted content, whose digest is signed.

    Raises:
        Conflict: The row was changed.
    """
    files = content if isinstance(content, dict) else {}
    written: Any = read(str(files.get("definition", files.get(_TEMPLATE, "")))).data
    about = _part(written, "document") or _part(written, "decision") or written
    described = _part(about, "metadata") if about is not written else written
    ref = f"{about.get('namespace')}/{about.get('name')}@{about.get('version')}"
    data_class = described.get("dataClass") or DataClass.INTERNAL.value
    own = f"{version.namespace}/{version.name}@{version.version}"
    if (ref, data_class) != (own, version.data_class.value):
        raise Conflict(
            f"{own} is not what was signed: its content says {ref}, {data_class}, and its row in "
            f"the database {own}, {version.data_class.value}"
        )


def _part(written: Any, name: str) -> Any:
    part = written.get(name) if isinstance(written, dict) else None
    return part if isinstance(part, dict) else {}
