"""How the API is served."""

from __future__ import annotations

import pytest
import uvicorn
from click.testing import CliRunner
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from coe.cli.main import cli
from coe.settings import Settings


def test_nobody_writes_an_address_of_their_choice_into_the_log(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[uvicorn.Config] = []

    def run(server: uvicorn.Server) -> None:
        server.started = True
        served.append(server.config)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setenv("COE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("COE_DATA_DIR", str(settings.data_dir))
    done = CliRunner().invoke(cli, ["up"])
    assert done.exit_code == 0, done.output
    [config] = served
    config.load()
    assert not isinstance(config.loaded_app, ProxyHeadersMiddleware)
