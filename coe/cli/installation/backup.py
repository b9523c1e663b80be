"""`coe backup`: whether the database could be restored today."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import click

from coe.cli.grammar import Noun, example
from coe.cli.installation.checks import exit_code, table_of
from coe.cli.output import Result, printed
from coe.cli.settings_option import config_option, settings_from
from coe.cli.times import moment_option, span_option
from coe.formats import instants


@click.group(cls=Noun)
def command() -> None:
    """Note backups of the database, and check whether one could be restored today."""


@command.command()
@config_option
@span_option("--max-age", "26h", "How old the newest backup may be.")
@span_option("--max-lag", "5m", "How long ago the last archiving may be.")
@example("coe backup check --config coe.env", "coe backup check --max-age 8d --output json")
@printed()
def check(config: str | None, max_age: timedelta, max_lag: timedelta) -> Result:
    """Check the newest backup, the log of writes, the keys and the sinks of checkpoints.

    Exit code 0 if a restore would work, also with warnings; 1 with a problem; 7 if the database
    does not answer.
    """
    from coe.installation.backup import backup_status  # noqa: PLC0415  # slow to import

    settings = settings_from(config)
    checks = asyncio.run(backup_status(settings, max_age=max_age, max_lag=max_lag))
    data, table = table_of(checks)
    return Result(data, table, code=exit_code(checks))


@command.command()
@config_option
@click.option("--label", required=True, help="The name of the backup, where it is kept.")
@moment_option("--at", "taken_at", "When it began; by default now.")
@span_option("--keep", "35d", "How long it is kept: no key that it needs is retired before.")
@example(
    "coe backup record --label base-2026-12-01", "coe backup record --label monthly --keep 400d"
)
@printed()
def record(config: str | None, label: str, taken_at: str | None, keep: timedelta) -> Result:
    """Note that a backup was taken; the script that takes it calls this at its end.

    `coe backup check` takes its age from here, and `rotate` of the key-encryption keys which of
    them are still needed.
    """
    from coe.installation.backup import record_backup  # noqa: PLC0415  # slow to import

    settings = settings_from(config)
    began = None if taken_at is None else instants.read(taken_at)
    keys = asyncio.run(record_backup(settings, label, taken_at=began, keep=keep))
    return Result({"label": label, "keks": keys}, f"{label} needs the keys {', '.join(keys)}")
