"""``chatsvc account import``: many accounts at once."""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Sequence
from typing import Any, BinaryIO, NoReturn

import click
from twisted.internet.defer import Deferred, gatherResults

from chatsvc.accounts import phc
from chatsvc.accounts.creation import AccountsTaken, NewAccount, RowRejected
from chatsvc.accounts.passwords import Hashing
from chatsvc.cli.account_csv import AccountRow, BadCSV, parse_csv
from chatsvc.cli.options import accounts_option, json_option
from chatsvc.cli.output import print_json
from chatsvc.cli.runner import OpenAccounts, run_on_accounts
from chatsvc.storage import schema
from chatsvc.tap.standard_streams import done, require_output, standard_input

_PATIENCE = 120.0
"""Seconds for the one transaction that makes all accounts."""


class _CSVFile(click.File):
    """The file; - is standard input, if it is open."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        if value == "-":
            return standard_input()
        return super().convert(value, parameter, context)


@click.command("import")
@click.argument("file", type=_CSVFile("rb"))
@click.option("--dry-run", is_flag=True, help="Check everything, import nothing.")
@json_option
@accounts_option
def import_accounts(url: str, file: BinaryIO, dry_run: bool, as_json: bool) -> None:
    """
    Make the accounts that FILE lists, or standard input if it is -: all of them or, if one line is wrong, none.

    FILE is CSV in UTF-8. Its first line is name,password or name,password,uid, in any order. Without a uid the next
    free one is given. A password that is empty is made up; one that is an argon2 hash ("$argon2id$...", quoted for its
    commas; ! before the $ locks the account) is moved over as it is; anything else is hashed. Hashes of other kinds are
    refused.

    Prints uid,name,password of the new accounts as CSV: the password only where it was made up, for this is the only
    time that it can be seen.
    """
    if not dry_run:
        require_output()
    try:
        rows = parse_csv(file.read())
    except BadCSV as bad:
        _refuse(bad.problems)
    except OSError as problem:
        raise click.ClickException(f"{file.name} cannot be read: {problem.strerror}") from None

    async def check(opened: OpenAccounts) -> None:
        if await schema.pending(opened.database):
            raise click.ClickException("tables are missing: run `chatsvc schema` first")
        await _check(opened, rows)

    async def work(opened: OpenAccounts) -> list[dict[str, object]]:
        await opened.accounts.open()
        await _check(opened, rows)
        made_up = [None if one.password else secrets.token_urlsafe(12) for one in rows]
        given = [made or one.password for made, one in zip(made_up, rows, strict=True)]
        people = [
            NewAccount(one.name, stored, one.uid)
            for one, stored in zip(rows, await _hash(opened, given), strict=True)
        ]
        try:
            uids = await opened.accounts.create_many(people)
        except AccountsTaken as taken:  # since they were checked
            _refuse(_taken(rows, taken))
        except RowRejected as refused:
            _refuse([(rows[refused.index].line, str(refused))])
        return [
            {"uid": uid, "name": one.name, "password": made}
            for uid, one, made in zip(uids, rows, made_up, strict=True)
        ]

    if dry_run:
        run_on_accounts(url, check)
        if as_json:
            print_json({"accounts": len(rows)})
        else:
            click.echo(f"{len(rows)} accounts can be imported")
        return
    hashing = Hashing(threads=os.cpu_count() or 1, queue=len(rows))
    made = run_on_accounts(url, work, make=True, hashing=hashing, patience=_PATIENCE)
    with done(
        f"{len(made)} accounts were made; a password that was made up is lost: `chatsvc account passwd UID --generate`"
        " makes another one, `chatsvc account list` has the uids"
    ):
        if as_json:
            print_json(made)
        else:
            click.echo(_as_csv(made).encode(), nl=False)


async def _check(opened: OpenAccounts, rows: Sequence[AccountRow]) -> None:
    try:
        await opened.accounts.require_free([NewAccount(one.name, "", one.uid) for one in rows])
    except AccountsTaken as taken:
        _refuse(_taken(rows, taken))


async def _hash(opened: OpenAccounts, given: Sequence[str]) -> list[str]:
    """Hash passwords, in as many threads as there are processors; hashes stay as they are."""

    async def stored(password: str) -> str:
        return password if phc.is_hashed(password) else await opened.hash(password)

    hashed: list[str] = await gatherResults(
        [Deferred.fromCoroutine(stored(password)) for password in given], consumeErrors=True
    )
    return hashed


def _taken(rows: Sequence[AccountRow], taken: AccountsTaken) -> list[tuple[int, str]]:
    names = [(e.line, f"the name {e.name!r} is taken") for e in rows if e.name in taken.names]
    uids = [(e.line, f"the uid {e.uid} is taken") for e in rows if e.uid in taken.uids]
    return sorted(names + uids)


def _refuse(problems: Sequence[tuple[int, str]]) -> NoReturn:
    for line, text in problems:
        click.echo(f"line {line}: {text}", err=True)
    raise click.ClickException(f"nothing was imported (problems: {len(problems)})")


def _as_csv(made: Sequence[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["uid", "name", "password"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(made)
    return text.getvalue()
