"""``chatsvc schema``: the accounts' tables."""

from __future__ import annotations

import click

from chatsvc.cli.options import accounts_option, json_option
from chatsvc.cli.output import print_rows
from chatsvc.cli.runner import OpenAccounts, run_on_accounts
from chatsvc.storage import schema as numbered
from chatsvc.tap.standard_streams import done, require_output

_PATIENCE = 600.0
"""Seconds for one statement: an index of a large table takes some minutes."""


@click.group(invoke_without_command=True)
@accounts_option
@click.pass_context
def schema(context: click.Context, url: str) -> None:
    """
    Make the accounts' tables, or bring them up to date, and say what was done.

    Without a command: create or upgrade, whichever is needed.
    """
    if context.invoked_subcommand is None:
        require_output()
        _say(run_on_accounts(url, _apply, make=True, patience=_PATIENCE))


@schema.command()
@json_option
@accounts_option
def status(url: str, as_json: bool) -> None:
    """Print which files of the schema were applied, and when, and which are pending."""
    steps = run_on_accounts(url, lambda opened: numbered.steps(opened.database))
    rows = [
        {
            "file": step.name,
            "state": "pending" if step.applied is None else "applied",
            "applied": step.applied,
        }
        for step in steps
    ]
    print_rows(rows, as_json, ("file", "state", "applied"))


@schema.command()
@accounts_option
def create(url: str) -> None:
    """
    Make the tables where there are none of this service.

    A user table of an older server stays as it is.
    """

    async def work(opened: OpenAccounts) -> list[str]:
        if any(step.applied for step in await numbered.steps(opened.database)):
            raise click.ClickException("there are tables already: use `chatsvc schema upgrade`")
        return await _apply(opened)

    require_output()
    _say(run_on_accounts(url, work, make=True, patience=_PATIENCE))


@schema.command()
@click.option("--dry-run", is_flag=True, help="Print the SQL that would be run, run nothing.")
@accounts_option
def upgrade(url: str, dry_run: bool) -> None:
    """Bring the tables up to date; nothing is done to those that are."""
    if dry_run:
        script = run_on_accounts(url, lambda opened: numbered.script(opened.database))
        click.echo(script or "-- up to date\n", nl=False)
    else:
        require_output()
        _say(run_on_accounts(url, _apply, patience=_PATIENCE))


async def _apply(opened: OpenAccounts) -> list[str]:
    applied = await numbered.apply(opened.database)
    await opened.accounts.open()
    return applied


def _say(applied: list[str]) -> None:
    with done("the tables are up to date"):
        for name in applied:
            click.echo(f"applied {name}")
        if not applied:
            click.echo("up to date")
