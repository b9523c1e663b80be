"""The folder, the ports and the processes of a demo."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coe.demo.processes import Service
from coe.engines.prefect_server import PrefectServer

TEAMS: Final = ("finance", "fulfilment", "sales", "warehouse")
API_PORT: Final = 8700
PREFECT_PORT: Final = 4200
COMPANY_PORT: Final = 8790
DRAIN_SECONDS: Final = 3
"""How long the processes of a demo take for what they have begun, when it is stopped."""
INHERITED: Final = (
    "PATH",
    "PYTHONPATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "USER",
    "COE_LOG_LEVEL",
)
"""The variables that a process of the demo inherits from the shell."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of a demo's data, its ports and its databases (libpq URLs)."""

    data: Path
    content: Path
    api_port: int
    prefect_port: int
    company_port: int
    database_url: str
    prefect_database_url: str
    company_database_url: str
    prefect_auth: str

    @property
    def url(self) -> str:
        """The API's address."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def company_url(self) -> str:
        """The sample company's address."""
        return f"http://127.0.0.1:{self.company_port}"

    @property
    def settings_file(self) -> Path:
        """The settings of the API and the central worker (mode 0600)."""
        return self.data / "demo.env"

    @property
    def prefect(self) -> PrefectServer:
        """The Prefect server's process."""
        return PrefectServer(
            home=self.data / "prefect" / "server",
            database_url=self.prefect_database_url,
            auth=self.prefect_auth,
            port=self.prefect_port,
        )

    def settings(self) -> dict[str, str]:
        """The settings of the API and the central worker."""
        resolve = {
            f"{system}.acme.example": f"{self.company_url}/{system}"
            for system in ("crm", "erp", "wms")
        }
        return {
            "COE_DATABASE_URL": self.database_url,
            "COE_DATA_DIR": str(self.data),
            "COE_CONTENT_DIR": str(self.content),
            "COE_HOST": "127.0.0.1",
            "COE_PORT": str(self.api_port),
            "COE_PUBLIC_URL": self.url,
            "COE_LOG_ORIGIN": "acme.example/coe-demo",
            "COE_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "COE_PREFECT_URL": self.prefect.api_url,
            "COE_PREFECT_AUTH": self.prefect_auth,
            "COE_RESOLVE": json.dumps(resolve),
        }

    def write_settings(self) -> None:
        """Write the settings file, readable by its owner only."""
        lines = [f"{name}={_quoted(value)}" for name, value in self.settings().items()]
        write_private(self.settings_file, "\n".join(lines) + "\n")

    def services(self) -> list[Service]:
        """The processes that are no team's, in the order in which they start."""
        config = ["--config", str(self.settings_file)]
        company = {
            "COE_ACME_DATABASE_URL": self.company_database_url,
            "COE_ACME_KEY_FILE": str(self.data / "acme.kek"),
        }
        port = ["--port", str(self.company_port)]
        return [
            self._coe("company", ["demo-company", *port], company),
            Service("prefect", self.prefect.command(), self.prefect.environment(), self.data),
            self._coe("api", ["demo-api", *config], {}),
            self._coe("worker-central", ["worker", "central", *config], {}),
        ]

    def worker_data(self, team: str) -> Path:
        """The data folder of a team's worker: its key is in it."""
        return self.data / "workers" / team

    def team_worker(self, team: str, code: str | None) -> Service:
        """A team's own worker: it gets only the API, its flows and its systems.

        `code` is what it enrols with at its first start.
        """
        environment = ({} if code is None else {"COE_WORKER_CODE": code}) | {
            "COE_URL": self.url,
            "COE_DATA_DIR": str(self.worker_data(team)),
            "COE_FLOWS_DIR": str(self.content),
            "COE_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "ACME_CRM_URL": f"{self.company_url}/crm",
            "ACME_ERP_URL": f"{self.company_url}/erp",
            "ACME_WMS_URL": f"{self.company_url}/wms",
        }
        return self._coe(f"worker-{team}", ["worker", "team", team], environment)

    def _coe(self, name: str, arguments: list[str], own: Mapping[str, str]) -> Service:
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        script = Path(sys.executable).with_name("coe")
        python = [str(script)] if script.exists() else [sys.executable, "-m", "coe.cli.main"]
        command = [*python, *arguments]
        environment = inherited | {"PYTHONUNBUFFERED": "1"} | dict(own)
        return Service(name, command, environment, self.data)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
