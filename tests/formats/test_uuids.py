from __future__ import annotations

from uuid import UUID

import pytest

from coe.formats import uuids

TEXT = "2eb8aa08-aa98-11ea-b4aa-73b441d16380"


def test_either_case_is_read() -> None:
    assert uuids.read(TEXT) == uuids.read(TEXT.upper()) == UUID(TEXT)


@pytest.mark.parametrize(
    "text",
    ["", TEXT.replace("-", ""), f"{{{TEXT}}}", f"urn:uuid:{TEXT}", f"{TEXT}\n", "2eb8-aa08" * 4],
)
def test_no_other_form_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        uuids.read(text)
