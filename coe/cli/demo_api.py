"""`coe demo-api`: serve the API of the demo."""

from __future__ import annotations

from coe.cli.grammar import verb
from coe.cli.settings_option import config_option, settings_from


@verb(hidden=True)
@config_option
def command(config: str | None) -> None:
    """Serve the API with the demo's personas on loopback until SIGTERM or Ctrl-C."""
    from coe.demo.api import create_demo_app  # noqa: PLC0415  # slow to import
    from coe.processes.serving import serve  # noqa: PLC0415  # the same

    settings = settings_from(config, process=True)
    serve(create_demo_app(settings), settings)
