"""``chatsvc account``: accounts, one at a time, and their devices."""

from __future__ import annotations

import re
from typing import Any

import click

from chatsvc.accounts import phc
from chatsvc.accounts.names import BadName, enforce
from chatsvc.accounts.store import Account
from chatsvc.cli.options import (
    UID,
    accounts_option,
    as_of_server,
    json_option,
    new_password,
    password_options,
)
from chatsvc.cli.output import in_one_line, local_time, print_json, print_rows
from chatsvc.cli.runner import OpenAccounts, open_inbox, run_on_accounts
from chatsvc.tap.server_options import INBOX
from chatsvc.tap.standard_streams import done, require_output
from chatsvc.wire.events import Device
from chatsvc.wire.structured.dialect import device_fields

_PAGE = 1000


@click.group()
def account() -> None:
    """Add, import, list, lock and unlock accounts; list and forget their devices."""


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


class _DeviceName(click.ParamType):
    """The name of a device, as `devices` prints it."""

    name = "device"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> str:
        name = str(value).lower()
        if not re.fullmatch(r"[0-9a-f]{16,32}", name):
            self.fail("a device is 16 to 32 hexadecimal digits", parameter, context)
        return name


@account.command()
@click.argument("uid", type=UID)
@click.option(
    "--forget",
    "forgotten",
    type=_DeviceName(),
    metavar="DEVICE",
    help="Forget this one: it is logged out, its tokens end, and nothing is kept for it.",
)
@json_option
@as_of_server(INBOX, "inbox_url", "URL", "Where messages wait.")
@accounts_option
def devices(url: str, uid: int, forgotten: str | None, as_json: bool, inbox_url: str) -> None:
    """
    Print the registered devices of the account UID, or forget one, such as a phone that was lost.

    The columns: the device's name, its program, when it was registered, when it was last used, whether it is logged in
    now (yes or no). Servers may run meanwhile. A device that was forgotten is out at every server at once; whoever has
    the password can log in with it again, as with any other.
    """
    if forgotten is None:
        found = run_on_accounts(url, lambda opened: _registered(opened, inbox_url, uid))
        print_rows(
            list(map(device_fields, found)),
            as_json,
            ("device", "client", "first", "last", "online"),
            client=in_one_line,
            first=local_time,
            last=local_time,
            online=_yes_or_no,
        )
        return
    require_output()
    name = forgotten
    if not run_on_accounts(url, lambda opened: _forget(opened, inbox_url, uid, name)):
        raise click.ClickException(
            f"account {uid} has no device {name}; a token that was issued to it no longer counts"
        )
    with done(f"the device {name} of account {uid} was forgotten"):
        if as_json:
            print_json({"uid": uid, "forgotten": name})
        else:
            click.echo(f"Forgot {name}.")


async def _registered(opened: OpenAccounts, inbox_url: str, uid: int) -> list[Device]:
    await opened.account(uid)
    async with open_inbox(inbox_url, opened.reactor) as inbox:
        return await inbox.devices(uid)


async def _forget(opened: OpenAccounts, inbox_url: str, uid: int, name: str) -> bool:
    """Forget a device; return whether there was such a one."""
    await opened.account(uid)
    async with open_inbox(inbox_url, opened.reactor) as inbox:
        # First, or the device would come back by its token.
        await opened.accounts.forget_device(uid, name)
        return await inbox.forget(uid, name)


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


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
