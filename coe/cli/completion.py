"""`coe completion`: the completion of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from coe.cli.grammar import example, verb


@verb()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@example('eval "$(coe completion bash)"', "coe completion fish > coe.fish")
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes `coe` in SHELL; evaluate it where the shell starts."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.BadParameter(f"{shell} is not supported", param_hint="SHELL")
    click.echo(kind(ctx.find_root().command, {}, "coe", "_COE_COMPLETE").source())
