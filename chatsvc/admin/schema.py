"""``chatsvc schema``: the accounts' tables."""

from __future__ import annotations

import click

from chatsvc import migration
from chatsvc.admin.desk import Desk, work_on
from chatsvc.admin.options import accounts_option


@click.command()
@accounts_option
def schema(url: str) -> None:
    """Make the accounts' tables, or bring them up to date, and say what was done."""

    async def work(desk: Desk) -> list[str]:
        applied = await migration.apply(desk.database)
        await desk.accounts.open()
        return applied

    applied = work_on(url, work, make=True)
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("up to date")
