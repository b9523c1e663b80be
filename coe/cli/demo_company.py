"""`coe demo-company`: serve the sample company's CRM, ERP and WMS on loopback."""

from __future__ import annotations

from pathlib import Path

import click

from coe.cli.grammar import verb


@verb(hidden=True)
@click.option("--port", required=True, type=click.IntRange(1, 65535))
@click.option("--database-url", envvar="COE_ACME_DATABASE_URL", required=True)
@click.option(
    "--key-file",
    envvar="COE_ACME_KEY_FILE",
    required=True,
    type=click.Path(path_type=Path),
)
def command(port: int, database_url: str, key_file: Path) -> None:
    """Serve the sample company's systems on loopback until SIGTERM."""
    import uvicorn  # noqa: PLC0415  # only a server needs it

    from coe.demo.company import create_company  # noqa: PLC0415  # the same

    app = create_company(database_url, key_file)
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)
