"""``chatsvc account``: accounts, one at a time."""

from __future__ import annotations

import click

from chatsvc.accounts import phc
from chatsvc.accounts.names import BadName, enforce
from chatsvc.accounts.store import Account
from chatsvc.cli.options import UID, accounts_option, json_option, new_password, password_options
from chatsvc.cli.output import print_rows
from chatsvc.cli.runner import OpenAccounts, run_on_accounts
from chatsvc.tap.standard_streams import done, require_output

_PAGE = 1000


@click.group()
def account() -> None:
    """Add, import, list, lock and unlock accounts."""


@account.command()
@click.argument("name")
@password_options
@accounts_option
def add(url: str, name: str, from_stdin: bool, generate: bool) -> None:
    """Make an account for NAME and print its uid."""
    try:
        enforce(name)  # before a password is asked for
    except BadName as problem:
        raise click.ClickException(str(problem)) from None
    require_output()
    password = new_password(from_stdin, generate)

    async def work(opened: OpenAccounts) -> int:
        phc = await opened.hash(password)
        await opened.accounts.open()
        return await opened.accounts.register(name, phc)

    uid = run_on_accounts(url, work, make=True)
    lost = f", and its password is lost: {_another(uid)}" if generate else ""
    with done(f"account {uid} was made{lost}"):
        click.echo(f"{uid}\n{password}" if generate else uid)


@account.command()
@click.argument("uid", type=UID)
@password_options
@accounts_option
def passwd(url: str, uid: int, from_stdin: bool, generate: bool) -> None:
    """Give the account UID another password; a locked one stays locked."""
    if generate:
        require_output()
    password = new_password(from_stdin, generate)

    async def work(opened: OpenAccounts) -> None:
        hashed = await opened.hash(password)
        found = await opened.account(uid)
        locked = phc.is_locked(found.stored or "")
        await opened.store(found, phc.lock(hashed) if locked else hashed)

    run_on_accounts(url, work)
    if generate:
        with done(f"the password was changed, and is lost: {_another(uid)}"):
            click.echo(password)


def _another(uid: int) -> str:
    return f"`chatsvc account passwd {uid} --generate` makes another one"


@account.command()
@click.argument("uid", type=UID)
@accounts_option
def lock(url: str, uid: int) -> None:
    """Let nobody log in to the account UID; its tokens end."""

    async def work(opened: OpenAccounts) -> None:
        found = await opened.account(uid)
        if not found.stored:
            raise click.ClickException(f"account {uid} has no password: nobody can log in to it")
        stored = found.stored
        hashed = stored if phc.is_hashed(stored) else await opened.hash_plain(stored)
        await opened.change_lock(found, phc.lock(hashed))

    run_on_accounts(url, work)


@account.command()
@click.argument("uid", type=UID)
@accounts_option
def unlock(url: str, uid: int) -> None:
    """Let the account UID be logged in to again, by its password: tokens from before stay worthless."""

    async def work(opened: OpenAccounts) -> None:
        found = await opened.account(uid)
        if found.stored:
            await opened.change_lock(found, phc.unlock(found.stored))

    run_on_accounts(url, work)


@account.command("list")
@json_option
@accounts_option
def list_accounts(url: str, as_json: bool) -> None:
    """
    Print uid, name and state of all accounts.

    The states: active, locked, plain (the older server's password, not hashed yet), none (no password). On a terminal
    the columns stand below each other; elsewhere tabs separate them.
    """
    found = [
        {"uid": one.uid, "name": one.name, "state": _state(one.stored)}
        for one in run_on_accounts(url, _everybody)
    ]
    print_rows(found, as_json, ("uid", "name", "state"))


async def _everybody(opened: OpenAccounts) -> list[Account]:
    await opened.accounts.open()
    found: list[Account] = []
    page = await opened.accounts.page(-(2**63), _PAGE)
    while page:
        found += page
        page = await opened.accounts.page(page[-1].uid, _PAGE)
    return found


def _state(stored: str | None) -> str:
    if not stored:
        return "none"
    if not phc.is_hashed(stored):
        return "plain"
    return "locked" if phc.is_locked(stored) else "active"
