"""The ``chatsvc`` command: accounts and tables, from a shell."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import orjson
from twisted.internet.defer import ensureDeferred

from chatsvc import migration, passwords, talk
from chatsvc.accounts import Account, Accounts, NameTaken
from chatsvc.database import Database
from chatsvc.dialects import SQL_ERRORS, first_line
from chatsvc.inbox.places import INBOX_SCHEMES, inbox_at
from chatsvc.names import BadName, enforce
from chatsvc.store import BadStore, StoreUnavailable, StoreURL, parse_store_url, without_password

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

_PAGE = 1000


class Desk:
    """What a command works on: the accounts of one open database, and a way to hash."""

    def __init__(self, database: Database, hasher: passwords.Passwords) -> None:
        self.database = database
        self.accounts = Accounts(database)
        self.hash = hasher.hash

    async def account(self, uid: int) -> Account:
        """Give an account; one that does not exist is an error to say."""
        account = await self.accounts.get(uid)
        if account is None:
            raise click.ClickException(f"there is no account {uid}")
        return account

    async def store(self, account: Account, stored: str) -> None:
        """Store a password, unless another one was stored since ``account`` was read."""
        if account.stored is None:
            done = await self.accounts.set_stored(account.uid, stored)
        else:
            done = await self.accounts.replace_password(account.uid, account.stored, stored)
        if not done:
            raise click.ClickException(f"account {account.uid} has just changed: try again")


def work_on(url: str, work: Callable[[Desk], Awaitable[T]], *, make: bool = False) -> T:
    """
    Run ``work`` on the accounts at ``url`` under a reactor, once in a process; ``make`` an SQLite file that is missing.

    :raise click.ClickException: what went wrong, in one line.
    """
    with _one_line(url):
        place = parse_store_url(url, ("mysql", "sqlite"))
        if not make:
            _require_file(place)
        return _under_reactor(lambda reactor: _at_desk(Database(place, reactor), reactor, work))


def _require_file(place: StoreURL) -> None:
    """Nobody means a file that is not there when asking what is in it."""
    if place.scheme == "sqlite" and not os.path.exists(place.path):
        raise BadStore(f"{place}: there is no such file here")


@contextmanager
def _one_line(url: str) -> Iterator[None]:
    """What goes wrong meanwhile with the store at ``url`` is one line for the admin."""
    try:
        yield
    except (BadStore, StoreUnavailable, ValueError) as problem:
        raise click.ClickException(str(problem)) from None
    except NameTaken as problem:
        raise click.ClickException(f"the name {str(problem)!r} is taken") from None
    except SQL_ERRORS as problem:
        raise click.ClickException(f"{without_password(url)}: {first_line(problem)}") from None


async def _at_desk(database: Database, reactor: Any, work: Callable[[Desk], Awaitable[T]]) -> T:
    hasher = passwords.Passwords(reactor)
    await database.open()
    hasher.start()
    try:
        return await work(Desk(database, hasher))
    finally:
        hasher.stop()
        database.close()


def _under_reactor(work: Callable[[Any], Awaitable[T]]) -> T:
    from twisted.internet import reactor

    at_work: Any = reactor
    results: list[T] = []
    problems: list[Exception] = []

    async def run() -> None:
        try:
            results.append(await work(at_work))
        except Exception as problem:
            problems.append(problem)
        finally:
            at_work.stop()

    at_work.callWhenRunning(lambda: ensureDeferred(run()))
    at_work.run()
    if problems:
        raise problems[0]
    if not results:  # interrupted
        raise click.Abort
    return results[0]


def _take_url(context: click.Context, _: click.Parameter, url: str | None) -> None:
    if url:
        context.obj = url


def accounts_option(command: Command) -> Command:
    """Give a command ``--accounts`` (which may stand before the command as well) as its object."""
    option = click.option(
        "--accounts",
        metavar="URL",
        callback=_take_url,
        expose_value=False,
        help="Where the accounts are.  [env var: CHATSVC_ACCOUNTS; default: sqlite:chat.db]",
    )
    return option(click.pass_obj(command))  # type: ignore[return-value]


def password_options(command: Command) -> Command:
    """Give a command the ways to hand in a password that leave it off the command line."""
    from_stdin = click.option(
        "--password-stdin", "from_stdin", is_flag=True, help="Read it from stdin's first line."
    )
    generate = click.option("--generate", is_flag=True, help="Make one up and print it.")
    return from_stdin(generate(command))


@click.group()
@click.option(
    "--accounts",
    "url",
    metavar="URL",
    envvar="CHATSVC_ACCOUNTS",
    default="sqlite:chat.db",
    show_default=True,
    show_envvar=True,
    help="Where the accounts are.",
)
@click.version_option(package_name="chatsvc")
@click.pass_context
def main(context: click.Context, url: str) -> None:
    """Administer a chatsvc chat service, or talk to one."""
    os.umask(0o077)  # a new SQLite file is going to hold password hashes and messages
    context.obj = url


for command in (talk.client, talk.send, talk.listen):
    main.add_command(command)


@main.group()
def account() -> None:
    """Add, list, lock and unlock accounts."""


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
    password = _new_password(from_stdin, generate)

    async def work(desk: Desk) -> int:
        phc = await desk.hash(password)
        await desk.accounts.open()
        return await desk.accounts.register(name, phc)

    click.echo(work_on(url, work, make=True))
    if generate:
        click.echo(password)


@account.command()
@click.argument("uid", type=int)
@password_options
@accounts_option
def passwd(url: str, uid: int, from_stdin: bool, generate: bool) -> None:
    """Give the account UID another password; a locked one stays locked."""
    password = _new_password(from_stdin, generate)

    async def work(desk: Desk) -> None:
        phc = await desk.hash(password)
        found = await desk.account(uid)
        locked = passwords.is_locked(found.stored or "")
        await desk.store(found, passwords.lock(phc) if locked else phc)

    work_on(url, work)
    if generate:
        click.echo(password)


@account.command()
@click.argument("uid", type=int)
@accounts_option
def lock(url: str, uid: int) -> None:
    """Let nobody log in to the account UID."""

    async def work(desk: Desk) -> None:
        found = await desk.account(uid)
        if not found.stored:
            raise click.ClickException(f"account {uid} has no password: nobody can log in to it")
        hashed = passwords.is_hashed(found.stored)
        phc = found.stored if hashed else await desk.hash(found.stored)
        await desk.store(found, passwords.lock(phc))

    work_on(url, work)


@account.command()
@click.argument("uid", type=int)
@accounts_option
def unlock(url: str, uid: int) -> None:
    """Let the account UID be logged in to again."""

    async def work(desk: Desk) -> None:
        found = await desk.account(uid)
        if found.stored:
            await desk.store(found, passwords.unlock(found.stored))

    work_on(url, work)


@account.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@accounts_option
def list_accounts(url: str, as_json: bool) -> None:
    """Print uid, name and state of all accounts: active, locked, plain (old password), none."""
    found = [
        {"uid": one.uid, "name": one.name, "state": _state(one.stored)}
        for one in work_on(url, _everybody)
    ]
    if as_json:
        click.echo(orjson.dumps(found).decode())
        return
    for row in found:
        click.echo("\t".join(map(str, row.values())))


@main.command()
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


@main.group()
def inbox() -> None:
    """Waiting messages."""


@inbox.command()
@click.option(
    "--inbox",
    "url",
    metavar="URL",
    envvar="CHATSVC_INBOX",
    default="sqlite:chat.db",
    show_default=True,
    show_envvar=True,
    help="Where messages wait.",
)
@click.confirmation_option(
    "--yes", prompt="Were all servers stopped before the back-up was restored?"
)
def restored(url: str) -> None:
    """
    Say that a back-up of the waiting messages was restored.

    Message ids that were given out after the back-up will be given out again: readers must forget the last one that
    they saw. Stop all servers before, start them after.
    """

    async def work(reactor: Any) -> None:
        place = parse_store_url(url, INBOX_SCHEMES)
        _require_file(place)
        waiting = await inbox_at(place, reactor)
        await waiting.renew_epoch()
        await waiting.close()

    with _one_line(url):
        _under_reactor(work)
    click.echo("Readers will forget the last message id that they have seen.")


async def _everybody(desk: Desk) -> list[Account]:
    await desk.accounts.open()
    found: list[Account] = []
    page = await desk.accounts.listing(-(2**63), _PAGE)
    while page:
        found += page
        page = await desk.accounts.listing(page[-1].uid, _PAGE)
    return found


def _state(stored: str | None) -> str:
    if not stored:
        return "none"
    if not passwords.is_hashed(stored):
        return "plain"
    return "locked" if passwords.is_locked(stored) else "active"


def _new_password(from_stdin: bool, generate: bool) -> str:
    if from_stdin and generate:
        raise click.UsageError("--password-stdin and --generate exclude each other")
    if generate:
        return secrets.token_urlsafe(12)
    if from_stdin:
        line = sys.stdin.buffer.readline().decode(errors="surrogateescape")
        return _acceptable(line.rstrip("\r\n"))
    if not sys.stdin.isatty():
        raise click.ClickException(
            "there is no terminal to ask for a password: use --password-stdin or --generate"
        )
    prompt = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return _acceptable(str(prompt))


def _acceptable(password: str) -> str:
    if not passwords.acceptable(password):
        most = passwords.MAX_PASSWORD
        raise click.ClickException(f"a password has 1 to {most} bytes of UTF-8")
    return password


if __name__ == "__main__":
    main(prog_name="chatsvc")
