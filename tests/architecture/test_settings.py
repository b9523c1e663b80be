"""Every setting is documented; only `coe.settings` reads the environment."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from pydantic.fields import FieldInfo

from coe.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `(COE_[A-Z_]+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
PROCESSES = {
    *("API", "gateway", "loops", "sealer", "central worker", "team worker"),
    *("set-up", "commands", "all"),
}
# Modules that read or change the environment, each with its reason.
EXCEPTIONS = {
    "coe/cli/api_client.py": "finds the authorities that commands trust, as processes do",
    "coe/cli/ci.py": "finds what a CI gives its jobs to sign in with",
    "coe/cli/flow/entrypoints.py": "hands its own on to the process that imports a team's file",
    "coe/demo/layout.py": "passes the variables of the shell on to the demo's processes",
    "coe/engines/prefect_server.py": "passes the variables of the shell on to Prefect's server",
    "coe/leaves/notify_process.py": "sets what Apprise's libraries read, in a separate process",
    "coe/sdk/local_run.py": "runs in a team's flow, where a worker has set the API and the token",
    "coe/settings/sources.py": "reads the settings",
    "coe/tls.py": "finds the host that the driver of PostgreSQL takes where a URL names none",
    "coe/worker.py": "sets what Prefect reads on import",
}


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    return f"`{value if isinstance(value, str | Path) else json.dumps(value)}`"


def test_the_page_names_every_setting_with_its_meaning_and_default() -> None:
    rows = ROW.findall((ROOT / "docs" / "settings.md").read_text())
    documented = [(name, meaning, default) for name, meaning, default, _ in rows]
    assert documented == [
        (f"COE_{name.upper()}", field.description, _default(field))
        for name, field in Settings.model_fields.items()
    ]
    for name, *_, processes in rows:
        assert set(processes.split(", ")) <= PROCESSES, name


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "coe").rglob("*.py")
        if _uses_environment(ast.parse(path.read_text()))
    }
    assert readers == set(EXCEPTIONS)


def _uses_environment(module: ast.Module) -> bool:
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.alias) and node.name in names)
        for node in ast.walk(module)
    )
