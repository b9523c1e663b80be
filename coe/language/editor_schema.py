"""The JSON Schema of the profile, for editors: generated from the models.

The specification's schema accepts every document that this one accepts. The loader accepts a little
more, and the linter reports what other runtimes refuse (OWS045).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from coe.language.model.definition import Definition

# The published schema: `write` generates it, and a test compares it with the models.
SCHEMA_FILE: Final = Path(__file__).with_name("flow.schema.json")


def profile_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a flow's definition."""
    schema = Definition.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flow",
        "description": "A flow's definition: our profile of the Open Workflow DSL 1.0.3",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
    }


def write() -> None:
    """Write the schema to its file."""
    SCHEMA_FILE.write_text(json.dumps(profile_schema(), indent=1, ensure_ascii=False) + "\n")
